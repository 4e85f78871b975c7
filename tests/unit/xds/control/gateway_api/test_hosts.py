"""Routes in the tables that are published: order, backends, policies, who sees them, and what a refusal does."""

from __future__ import annotations

from envoy_data_plane.envoy.config.route.v3 import Route, RouteConfiguration

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.gateway_api.backends import UNRESOLVED_CLUSTER
from eventmesh.xds.control.gateway_api.values import RouteKind
from eventmesh.xds.control.in_force import InForce
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.policy.attaching import attached
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.tables import LOCAL, PUBLIC
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.resource_types import ResourceType
from tests.unit.xds.control.gateway_api.objects import NEW, gateway, gateway_class, grant, route, to
from tests.unit.xds.control.views import (
    hosts_of,
    ingress,
    path,
    policy,
    rule,
    service,
    slice_,
    split,
    table,
    within,
    world,
)

HOST = "h.test"


class Mesh:
    """A world with one Gateway, and what is built of it."""

    def __init__(self, watcher: Watcher | None = None, *routes: Object) -> None:
        self.watcher = watcher or world(service=[service("one"), service("two")])
        self.routes = self.watcher.gateway_api
        self.routes.gateway_class(None, gateway_class())
        self.routes.gateway(None, gateway("front"))
        self.builder = ResourceBuilder(Settings(), self.routes.current)
        self.apply(*routes)

    def apply(self, *routes: Object) -> None:
        for obj in routes:
            self.routes.http_route(None, obj)
        changed = self.watcher.take_changed()
        self.builder.update(lambda namespace: attached(self.watcher.of(namespace)), changed)

    def of(self, host: str = HOST, name: str = PUBLIC) -> list[Route]:
        found = table(self.builder.table(name)).get(host)
        return list(found.routes) if found is not None else []

    def answers(self, host: str = HOST, name: str = PUBLIC) -> list[tuple[str, str]]:
        """Return (path, cluster) of the routes of a host, in their order."""
        return [(_path(one), (one.route.cluster if one.route else None) or "") for one in self.of(host, name)]


def _path(one: Route) -> str:
    match = one.match
    assert match is not None
    return (
        match.path
        or match.path_separated_prefix
        or match.prefix
        or (match.safe_regex.regex if match.safe_regex else "")
    )


def exact(value: str) -> Object:
    return {"matches": [{"path": {"type": "Exact", "value": value}}]}


def test_the_more_specific_match_is_tried_first_whichever_route_it_is_of() -> None:
    conditions: list[Object] = [
        {"method": "GET"},
        {"headers": [{"name": "a", "value": "1"}]},
        {"queryParams": [{"name": "q", "value": "1"}]},
    ]
    matches: list[Object] = [{"path": {"type": "PathPrefix", "value": "/a"}, **one} for one in reversed(conditions)]
    regex = {"matches": [{"path": {"type": "RegularExpression", "value": "/r.*"}}]}
    mesh = Mesh(
        None,
        route("first", to("one", "/", "/a/b"), {**to("one"), "matches": matches}, hosts=(HOST,)),
        route(
            "second", {**to("two"), **exact("/x")}, {**to("two"), **regex}, to("two", "/a"), hosts=(HOST,), created=NEW
        ),
    )
    assert [where for where, _ in mesh.answers()] == ["/x", "/r.*", "/a/b", "/a", "/a", "/a", "/a", "/"]
    methods = [[header.name for header in one.match.headers] for one in mesh.of()[3:7] if one.match]
    assert methods == [[":method"], ["a"], [], []]


def test_backends_are_the_clusters_of_their_services() -> None:
    weighted = {"backendRefs": [{"name": "one", "port": 80, "weight": 3}, {"name": "two", "port": 80}]}
    (found,) = Mesh(None, route("r", weighted, hosts=(HOST,))).of()
    assert found.route is not None and found.route.weighted_clusters is not None
    shares = [(one.name, one.weight) for one in found.route.weighted_clusters.clusters]
    assert shares == [("ns/one:80", 300), ("ns/two:80", 100)]


def test_what_leads_nowhere_fails_as_a_whole_or_by_its_share() -> None:
    mesh = Mesh(
        None,
        route(
            "r",
            to("nobody", "/none"),
            {"backendRefs": [*to("one")["backendRefs"], *to("x")["backendRefs"]]},
            hosts=(HOST,),
        ),
    )
    none, part = mesh.of()
    assert none.direct_response is not None and none.direct_response.status == 500
    assert part.route is not None and part.route.weighted_clusters is not None
    assert [one.name for one in part.route.weighted_clusters.clusters] == ["ns/one:80", UNRESOLVED_CLUSTER]
    assert UNRESOLVED_CLUSTER in mesh.builder.sets(Audience(Role.GATEWAY))[ResourceType.CLUSTER]
    mesh.apply(route("r", to("one"), hosts=(HOST,)))
    assert UNRESOLVED_CLUSTER not in mesh.builder.sets(Audience(Role.GATEWAY))[ResourceType.CLUSTER]


def test_a_service_that_comes_later_is_found() -> None:
    mesh = Mesh(None, route("r", to("late"), hosts=(HOST,)))
    assert mesh.answers() == [("/", "")]
    mesh.watcher.service(None, service("late"))
    mesh.apply()
    assert mesh.answers() == [("/", "ns/late:80")]


def test_the_policy_of_a_backend_holds_unless_the_rule_has_its_own() -> None:
    watcher = world(service=[service("svc")], policy=[policy("p", timeouts={"request": "3s"})])
    mesh = Mesh(watcher, route("r", to("svc", "/own", timeouts={"request": "1s"}), to("svc"), hosts=(HOST,)))
    seconds = [one.route.timeout.total_seconds() for one in mesh.of() if one.route and one.route.timeout is not None]
    assert seconds == [1.0, 3.0]


def test_a_function_is_led_to_by_its_own_shares() -> None:
    labels = {"serving.knative.dev/route": "fn"}
    inside = rule("fn.ns.svc.cluster.local", paths=[path(split("rev", Rev="1"))], external=False)
    watcher = world(ingress=[ingress("fn", inside)], service=[service("fn", labels=labels)])
    (found,) = Mesh(watcher, route("r", to("fn"), hosts=(HOST,))).of()
    assert found.route is not None and found.route.weighted_clusters is not None
    (share,) = found.route.weighted_clusters.clusters
    assert share.name == "ns/rev:80"
    assert [(one.header.key, one.header.value) for one in share.request_headers_to_add if one.header] == [("rev", "1")]


def test_a_host_of_a_function_is_not_for_routes_and_is_theirs_when_it_goes() -> None:
    taken = ingress("fn", rule(HOST))
    watcher = world(ingress=[taken], service=[service("one"), service("svc")])
    mesh = Mesh(watcher, route("r", to("one"), hosts=(HOST,)))
    assert mesh.answers()[-1][1] == "ns/svc:80"
    watcher.ingress(taken, None)
    mesh.apply()
    assert mesh.answers() == [("/", "ns/one:80")]


def test_routes_of_a_service_stand_for_it_inside_the_mesh_and_in_scope_alone() -> None:
    parent = [{"group": "", "kind": "Service", "name": "one"}]
    mesh = Mesh(None, route("r", to("two", "/new"), to("one", "/old"), parentRefs=parent))
    name = "one.ns.svc.cluster.local"
    assert mesh.answers(name, LOCAL) == [("/new", "ns/two:80"), ("/old", "ns/one:80")]

    def seen_by(namespace: str) -> set[str]:
        tables = mesh.builder.sets(Audience(Role.SIDECAR, namespace))[ResourceType.ROUTE]
        parsed = RouteConfiguration.parse(tables[LOCAL].body)
        return {host.name for host in parsed.virtual_hosts if name in host.domains}

    assert seen_by("ns") == {f"gateway-api/{name}"} and seen_by("elsewhere") == set()
    mesh.routes.http_route(route("r"), None)
    mesh.apply()
    assert mesh.answers(name, LOCAL) == [("/", "ns/one:80")]


def test_endpoints_of_a_service_elsewhere_reach_the_sidecars_whose_route_leads_there() -> None:
    mesh = Mesh(world(service=[service("one"), within("bank", service("ledger"))]))
    mesh.routes.grant(None, grant("bank", "ns"))
    abroad = {"backendRefs": [{"name": "ledger", "namespace": "bank", "port": 80}]}
    mesh.apply(route("r", abroad, parentRefs=[{"group": "", "kind": "Service", "name": "one"}]))
    caller, stranger = Audience(Role.SIDECAR, "ns"), Audience(Role.SIDECAR, "elsewhere")
    for audience in (caller, stranger):
        mesh.builder.sets(audience)
    mesh.watcher.slice(None, within("bank", slice_("ledger", "10.0.0.9")))
    mesh.builder.update(mesh.watcher.of, mesh.watcher.take_touched())
    assert mesh.builder.affects(caller) and not mesh.builder.affects(stranger)
    assert hosts_of(mesh.builder.sets(caller)[ResourceType.ENDPOINT]["bank/ledger:80"]) == {"10.0.0.9:8080"}


def test_routes_of_gateways_are_for_gateways_alone() -> None:
    mesh = Mesh(None, route("r", to("one"), hosts=(HOST,)))
    assert mesh.answers(HOST, LOCAL) == []


def test_a_publication_of_endpoints_alone_contains_no_other_routes() -> None:
    mesh = Mesh()
    mesh.routes.http_route(None, route("r", to("one"), hosts=(HOST,)))
    mesh.builder.update(mesh.watcher.of, mesh.watcher.take_touched())
    assert mesh.answers() == []
    mesh.apply()
    assert mesh.answers() == [("/", "ns/one:80")]


def test_what_has_not_changed_is_the_same_bytes_again() -> None:
    mesh = Mesh(None, route("a", to("one"), hosts=(HOST,)), route("b", to("two"), hosts=("b.test",)))
    before = mesh.builder.gateway_api.of(PUBLIC)
    mesh.apply(route("b", to("one"), hosts=("b.test",)))
    after = mesh.builder.gateway_api.of(PUBLIC)
    assert before[1].host is after[1].host or before[0].host is after[0].host
    assert before != after


def test_a_route_that_a_data_plane_refuses_is_held_back_alone() -> None:
    watcher = Watcher()
    in_force = InForce(watcher)
    for name in ("good", "bad"):
        watcher.gateway_api.http_route(None, route(name, to("one"), hosts=(f"{name}.test",)))
        in_force.route_changed(RouteKind.HTTP, Key("ns", name))
    in_force.published(1)
    blamed = in_force.refused(1, "virtual host of bad.test is not to be had")
    assert blamed.routes == {RouteKind.HTTP: [Key("ns", "bad")]}
    assert set(in_force.world().of_kind(RouteKind.HTTP)) == {Key("ns", "good")}
    assert in_force.routes[RouteKind.HTTP].message(Key("ns", "bad")) is not None
    watcher.gateway_api.http_route(None, route("bad", to("two"), hosts=("bad.test",)))
    in_force.route_changed(RouteKind.HTTP, Key("ns", "bad"))
    assert set(in_force.world().of_kind(RouteKind.HTTP)) == {Key("ns", "good"), Key("ns", "bad")}


def test_routes_are_there_for_clients_that_ask_for_hosts_on_demand() -> None:
    mesh = Mesh(None, route("a", to("one")))
    asking = Audience(Role.ENVOY, on_demand=True)
    first = mesh.builder.sets(asking)[ResourceType.VIRTUAL_HOST]
    assert b"ns/one:80" in first[f"public/{HOST}"].body
    mesh.apply(route("a", to("two")))
    assert b"ns/two:80" in mesh.builder.sets(asking)[ResourceType.VIRTUAL_HOST][f"public/{HOST}"].body
