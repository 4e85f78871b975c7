"""What goes live, and when: make before break, in virtual time."""

from __future__ import annotations

from eventmesh.model.access import AccessStep
from eventmesh.model.authz import AskedByGrpc, AuthzService, ExtAuthz
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener
from eventmesh.model.match import RouteMatch
from eventmesh.model.policy import Filters
from eventmesh.model.route import Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.tls import ClientTls, ServerTls, TlsCertificate
from eventmesh.xds.client.known import Known, Update
from eventmesh.xds.translate.resources import ClusterResource, ListenerResource, StaticResources
from eventmesh.xds.translate.tls import ClientTlsResource, Secret, ServerTlsResource, TlsTerms, Validation

HERE = (Endpoint("10.0.0.1:80"),)
THERE = (Endpoint("10.0.0.2:80"),)


def _cluster(name: str, connect_timeout_s: float = 5.0, eds_name: str = "") -> dict[str, ClusterResource]:
    return {name: ClusterResource(Cluster(name, connect_timeout_s=connect_timeout_s), eds_name or name)}


def _table(name: str, *clusters: str) -> dict[str, RouteTable]:
    shares = tuple(WeightedCluster(cluster) for cluster in clusters)
    host = VirtualHost("h", ("*",), (Route(RouteMatch(), Forward(shares)),))
    return {name: RouteTable(name, (host,))}


def _listener(name: str, table: str, address: str = "127.0.0.1:80") -> dict[str, ListenerResource]:
    return {name: ListenerResource(Listener(name, address, table))}


class World:
    """A `Known` and its time."""

    def __init__(self, *tables: str, static: StaticResources | None = None) -> None:
        self.now = 100.0
        self.known = Known(static or StaticResources(), tables, self.now)
        self.known.advance(self.now)

    def told(self, update: Update) -> bool:
        self.known.update(update, self.now)
        return self.known.advance(self.now)

    def after(self, seconds: float) -> bool:
        self.now += seconds
        return self.known.advance(self.now)

    @property
    def clusters(self) -> dict[str, tuple[Endpoint, ...]]:
        return {cluster.name: cluster.endpoints for cluster in self.known.snapshot("v").clusters}

    @property
    def tables(self) -> set[str]:
        return {table.name for table in self.known.snapshot("v").route_tables if table.virtual_hosts}

    @property
    def assignments_wanted(self) -> set[str]:
        return set(self.known.wanted_assignments())

    @property
    def tables_wanted(self) -> set[str]:
        return set(self.known.wanted_tables())

    @property
    def listeners(self) -> set[str]:
        return {listener.name for listener in self.known.snapshot("v").listeners}


def test_a_cluster_waits_for_its_endpoints() -> None:
    world = World()
    assert not world.told(Update(clusters=_cluster("a", eds_name="a-pods")))
    assert (world.clusters, world.assignments_wanted) == ({}, {"a-pods"})
    assert world.told(Update(assignments={"a-pods": HERE}))
    assert world.clusters == {"a": HERE}


def test_a_cluster_whose_endpoints_do_not_exist_is_live_and_empty() -> None:
    world = World()
    world.told(Update(clusters=_cluster("a")))
    assert world.told(Update(absent_assignments=("a",)))
    assert world.clusters == {"a": ()}


def test_endpoints_that_are_said_to_be_gone_stay_until_replaced() -> None:
    world = World()
    world.told(Update(clusters=_cluster("a")))
    world.told(Update(assignments={"a": HERE}))
    assert not world.told(Update(absent_assignments=("a",)))
    assert world.clusters == {"a": HERE}


def test_a_change_of_endpoints_is_live_at_once() -> None:
    world = World()
    world.told(Update(clusters=_cluster("a")))
    world.told(Update(assignments={"a": HERE}))
    assert world.told(Update(assignments={"a": THERE}))
    assert world.clusters == {"a": THERE}
    assert not world.told(Update(assignments={"a": THERE}))


def test_a_changed_cluster_keeps_its_endpoints_without_waiting() -> None:
    world = World()
    world.told(Update(clusters=_cluster("a")))
    world.told(Update(assignments={"a": HERE}))
    assert world.told(Update(clusters=_cluster("a", connect_timeout_s=1.0)))
    (cluster,) = world.known.snapshot("v").clusters
    assert (cluster.connect_timeout_s, cluster.endpoints) == (1.0, HERE)


def test_a_cluster_with_other_endpoints_is_served_by_the_former_until_they_come() -> None:
    world = World()
    world.told(Update(clusters=_cluster("a")))
    world.told(Update(assignments={"a": HERE}))
    assert not world.told(Update(clusters=_cluster("a", eds_name="b")))
    assert (world.clusters, world.assignments_wanted) == ({"a": HERE}, {"a", "b"})
    world.told(Update(assignments={"b": THERE}))
    assert (world.clusters, world.assignments_wanted) == ({"a": THERE}, {"b"})


def test_a_table_waits_for_every_cluster_it_names() -> None:
    world = World("public")
    world.told(Update(tables=_table("public", "a", "b")))
    world.told(Update(clusters=_cluster("a") | _cluster("b")))
    world.told(Update(assignments={"a": HERE}))
    assert world.tables == set()
    assert world.known.is_table_waiting("public")
    world.told(Update(assignments={"b": HERE}))
    assert world.tables == {"public"}
    assert not world.known.is_table_waiting("public")


def test_the_former_table_serves_while_the_new_one_waits() -> None:
    world = World("public")
    world.told(Update(clusters=_cluster("a")))
    world.told(Update(assignments={"a": HERE}))
    world.told(Update(tables=_table("public", "a")))
    former = world.known.snapshot("v").route_tables
    assert not world.told(Update(tables=_table("public", "b")))
    assert world.known.snapshot("v").route_tables == former


def test_a_listener_waits_for_its_table() -> None:
    world = World()
    world.told(Update(listeners=_listener("in", "public")))
    assert (world.listeners, world.tables_wanted) == (set(), {"public"})
    assert world.told(Update(tables=_table("public")))
    assert world.listeners == {"in"}


def test_a_listener_waits_for_those_it_asks_and_the_former_serves_meanwhile() -> None:
    world = World()
    world.told(Update(tables=_table("t"), listeners=_listener("in", "t")))
    world.told(Update(tables=_table("t")))
    assert world.listeners == {"in"}
    asking = AccessStep("ask", ExtAuthz(AuthzService("opa", AskedByGrpc())))
    after = Listener("in", "127.0.0.1:80", "t", filters=Filters(access=(asking,)))
    world.told(Update(listeners={"in": ListenerResource(after)}))
    (serving,) = world.known.snapshot("v").listeners
    assert serving.filters is None
    world.told(Update(clusters=_cluster("opa"), assignments={"opa": HERE}))
    (serving,) = world.known.snapshot("v").listeners
    assert serving.filters is not None
    world.told(Update(removed_clusters=("opa",)))
    changed = Listener("in", "127.0.0.1:81", "t", filters=Filters(access=(asking,)))
    world.told(Update(listeners={"in": ListenerResource(changed)}))
    assert world.known.snapshot("v").listeners == (changed,), "whom it lacked before it does not wait for"


def test_nothing_waits_for_ever() -> None:
    world = World()
    world.told(Update(clusters=_cluster("a"), tables=None))
    world.told(Update(listeners=_listener("in", "public")))
    assert world.known.deadline() == 115.0
    assert not world.after(14.9)
    assert world.after(0.1)
    assert (world.clusters, world.listeners) == ({"a": ()}, {"in"})
    # Without its table the listener answers 404 rather than refuse connections.
    assert [table.name for table in world.known.snapshot("v").route_tables] == ["public"]
    assert world.known.deadline() is None


def test_a_resource_that_keeps_changing_does_not_wait_longer() -> None:
    world = World("public")
    world.told(Update(tables=_table("public", "missing")))
    world.after(10.0)
    world.told(Update(tables=_table("public", "missing", "too")))
    assert world.known.deadline() == 115.0


def test_a_cluster_that_was_missing_before_holds_no_later_table_up() -> None:
    world = World("public")
    world.told(Update(tables=_table("public", "missing")))
    world.after(15.0)
    assert world.told(Update(tables=_table("public", "missing", "missing")))
    assert not world.told(Update(tables=_table("public", "missing", "new")))
    world.told(Update(clusters=_cluster("new")))
    assert world.told(Update(assignments={"new": HERE}))
    assert not world.known.is_table_waiting("public")


def test_a_resource_may_be_told_to_wait_for_ever() -> None:
    world = World()
    world.told(Update(clusters={"a": ClusterResource(Cluster("a"), "a", fetch_timeout_s=0.0)}))
    assert world.known.deadline() is None
    assert not world.after(1e6)


def test_removed_listeners_and_clusters_go_at_once() -> None:
    world = World()
    world.told(Update(clusters=_cluster("a"), listeners=_listener("in", "public")))
    world.told(Update(assignments={"a": HERE}, tables=_table("public")))
    assert world.told(Update(removed_clusters=("a",), removed_listeners=("in",)))
    assert (world.clusters, world.listeners, world.tables) == ({}, set(), set())
    assert not world.told(Update(removed_clusters=("a",)))


def test_what_nobody_names_is_forgotten_and_must_come_again() -> None:
    world = World()
    world.told(Update(clusters=_cluster("a")))
    world.told(Update(assignments={"a": HERE}))
    world.told(Update(removed_clusters=("a",)))
    assert not world.told(Update(clusters=_cluster("a")))
    assert world.clusters == {}


def test_a_copy_is_not_touched_by_what_follows() -> None:
    world = World()
    world.told(Update(clusters=_cluster("a")))
    before = world.known.copy()
    world.told(Update(assignments={"a": HERE}, clusters=_cluster("b")))
    assert before.snapshot("v").clusters == ()
    assert before.wanted_assignments() == {"a"}


def test_the_bootstraps_own_resources_are_live_from_the_start() -> None:
    table = _table("inline", "own")["inline"]
    static = StaticResources(
        listeners=(
            ListenerResource(Listener("in", "127.0.0.1:80", "inline"), table),
            ListenerResource(Listener("late", "127.0.0.1:81", "public")),
        ),
        clusters=(ClusterResource(Cluster("own")), ClusterResource(Cluster("eds"), "eds")),
    )
    world = World(static=static)
    assert (world.listeners, world.clusters) == ({"in"}, {"own": (), "eds": ()})
    assert world.assignments_wanted == {"eds"}
    assert not world.known.listeners_held()
    assert not world.known.clusters_held()
    assert world.told(Update(assignments={"eds": HERE}, tables=_table("public", "own")))
    assert (world.listeners, world.clusters["eds"]) == ({"in", "late"}, HERE)


# ---- secrets

CERTIFICATE = Secret(certificate=TlsCertificate("chain", "key"))
AUTHORITIES = Secret(validation=Validation("authorities"))
TERMS = TlsTerms(certificate_secrets=("own",), validation_secret="trusted")


def test_who_names_a_secret_waits_for_it_and_follows_it() -> None:
    world = World()
    listener = ListenerResource(Listener("l", "127.0.0.1:80", "t"), RouteTable("t"), tls=ServerTlsResource(TERMS))
    cluster = ClusterResource(Cluster("c"), tls=ClientTlsResource(TERMS, "example.com"))
    assert not world.told(Update(listeners={"l": listener}, clusters={"c": cluster}))
    assert world.known.wanted_secrets() == {"own", "trusted"}
    assert not world.told(Update(secrets={"own": CERTIFICATE})) or not world.clusters
    assert world.told(Update(secrets={"trusted": AUTHORITIES}))
    snapshot = world.known.snapshot("v")
    assert snapshot.listeners[0].tls == ServerTls((TlsCertificate("chain", "key"),), client_ca="authorities")
    assert snapshot.clusters[0].tls == ClientTls(
        "example.com", "authorities", certificate=TlsCertificate("chain", "key")
    )
    assert world.told(Update(secrets={"own": Secret(certificate=TlsCertificate("next", "key"))}))
    snapshot = world.known.snapshot("v")
    assert snapshot.listeners[0].tls is not None and snapshot.listeners[0].tls.certificates[0].chain == "next"


def test_who_lacks_a_secret_when_its_time_is_up_serves_nobody() -> None:
    world = World()
    listener = ListenerResource(Listener("l", "127.0.0.1:80", "t"), RouteTable("t"), tls=ServerTlsResource(TERMS))
    world.told(
        Update(listeners={"l": listener}, clusters={"c": ClusterResource(Cluster("c"), tls=ClientTlsResource(TERMS))})
    )
    world.after(20.0)
    assert (world.known.snapshot("v").listeners, world.clusters) == ((), {})
    world.told(Update(secrets={"own": CERTIFICATE, "trusted": AUTHORITIES}))
    assert len(world.known.snapshot("v").listeners) == 1 and set(world.clusters) == {"c"}


def test_secrets_of_the_bootstrap_are_nobody_elses_to_change() -> None:
    terms = TlsTerms(certificate_secrets=("own",))
    listener = ListenerResource(Listener("l", "127.0.0.1:80", "t"), RouteTable("t"), tls=ServerTlsResource(terms))
    world = World(static=StaticResources((listener,), (), {"own": CERTIFICATE}))
    assert world.known.wanted_secrets() == set()
    world.told(Update(secrets={"own": Secret(certificate=TlsCertificate("forged", "key"))}))
    assert world.known.snapshot("v").listeners[0].tls == ServerTls((TlsCertificate("chain", "key"),))


def test_what_a_server_brings_begins_with_what_the_bootstrap_holds() -> None:
    terms = TlsTerms(certificate_secrets=("own",), served=frozenset({"own"}))
    listener = ListenerResource(Listener("l", "127.0.0.1:80", "t"), RouteTable("t"), tls=ServerTlsResource(terms))
    world = World(static=StaticResources((listener,), (), {"own": CERTIFICATE}))
    assert world.known.wanted_secrets() == {"own"}
    assert world.known.snapshot("v").listeners[0].tls == ServerTls((TlsCertificate("chain", "key"),))
    assert not world.told(Update(secrets={"own": CERTIFICATE}))
    assert world.told(Update(secrets={"own": Secret(certificate=TlsCertificate("next", "key"))}))
    assert world.known.snapshot("v").listeners[0].tls == ServerTls((TlsCertificate("next", "key"),))
