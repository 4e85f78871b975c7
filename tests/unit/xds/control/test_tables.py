"""Route tables: who is reached under which host, and with which headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import HeaderValueOptionHeaderAppendAction
from envoy_data_plane.envoy.config.route.v3 import Route, RouteConfiguration, VirtualHost

from eventmesh.kube.objects import Key
from eventmesh.xds.control.ingress import fragment
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import BROKER_CLUSTER
from eventmesh.xds.control.tables import Contributions
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.resource_types import ResourceType
from tests.unit.xds.control import views
from tests.unit.xds.control.views import edits, ingress, path, plain, rule, serverless, service, split, table, world


@dataclass(frozen=True)
class Tables:
    public: Resource
    local: Resource
    bolt: Resource
    activator: Resource
    activator_local: Resource
    conflicts: Mapping[Key, Mapping[str, Key]]


def built(watcher: Watcher) -> Tables:
    builder = views.built(watcher)
    proxied = builder.sets(Audience(Role.ACTIVATOR))[ResourceType.ROUTE]["local"]
    public, local, bolt, activator = (builder.table(name) for name in ("public", "local", "bolt", "activator"))
    return Tables(public, local, bolt, activator, proxied, builder.conflicts)


def action(route: Route) -> str:
    assert route.route is not None
    if route.route.weighted_clusters is not None:
        return ",".join(f"{c.name}={c.weight}" for c in route.route.weighted_clusters.clusters)
    return route.route.cluster or ""


def prefix(route: Route) -> str:
    assert route.match is not None
    return route.match.prefix or ""


def test_external_rules_are_public_and_local_cluster_local_ones_only_local() -> None:
    tables = built(
        world(
            ingress=[
                ingress("out", rule("out.test")),
                ingress("in", rule("in.ns.svc.cluster.local", external=False)),
            ]
        )
    )
    public, local = table(tables.public), table(tables.local)
    assert "out.test" in public and "out.test" in local
    assert "in.ns.svc.cluster.local" in local and "in.ns.svc.cluster.local" not in public


def test_cluster_local_hosts_answer_to_their_short_forms() -> None:
    tables = built(world(ingress=[ingress("in", rule("in.ns.svc.cluster.local", external=False))]))
    assert {"in.ns", "in.ns.svc", "in.ns.svc.cluster.local"} <= set(table(tables.local))


def test_the_host_matches_whatever_its_port() -> None:
    tables = built(world())
    for resource in (tables.public, tables.local, tables.activator, tables.bolt):
        assert RouteConfiguration.parse(resource.body).ignore_port_in_host_matching


def test_append_headers_set_and_the_split_wins_over_the_path() -> None:
    one = path(split("svc", K_Who="split"), appendHeaders={"K-Who": "path", "K-Path": "yes"})
    (route,) = plain(table(built(world(ingress=[ingress("a", rule("a.test", paths=[one]))])).public)["a.test"])
    assert edits(route.request_headers_to_add) == {"k-who": "split", "k-path": "yes"}
    assert {option.append_action for option in route.request_headers_to_add} == {
        HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
    }


def test_a_split_carries_weights_and_its_own_headers() -> None:
    shares = path(split("one", 90, Rev="1"), split("two", 10, Rev="2"), split("none", 0), appendHeaders={"P": "p"})
    (route,) = plain(table(built(world(ingress=[ingress("a", rule("a.test", paths=[shares]))])).public)["a.test"])
    assert action(route) == "ns/one:80=90,ns/two:80=10"
    assert route.route is not None and route.route.weighted_clusters is not None
    headers = [edits(c.request_headers_to_add) for c in route.route.weighted_clusters.clusters]
    assert headers == [{"rev": "1", "p": "p"}, {"rev": "2", "p": "p"}]


def test_more_specific_paths_come_first() -> None:
    paths = [
        path(split("root")),
        path(split("long"), path="/a/b"),
        path(split("tagged"), headers={"Tag": {"exact": "x"}}),
        path(split("short"), path="/a"),
    ]
    routes = plain(table(built(world(ingress=[ingress("a", rule("a.test", paths=paths))])).public)["a.test"])
    assert [action(route) for route in routes] == ["ns/tagged:80", "ns/long:80", "ns/short:80", "ns/root:80"]
    assert [prefix(route) for route in routes] == ["/", "/a/b", "/a", "/"]


def test_every_path_has_a_copy_that_answers_probes_with_the_hash() -> None:
    watcher = world(ingress=[ingress("a", rule("a.test", paths=[path(split("svc"), path="/p")]))])
    probe, route = table(built(watcher).public)["a.test"].routes
    assert probe.match is not None
    header = probe.match.headers[0]
    assert header.string_match is not None
    assert (header.name, header.string_match.exact) == ("k-network-hash", "override")
    assert edits(probe.request_headers_to_add) == {"k-network-hash": watcher.of("ns").ingresses[Key("ns", "a")].hash}
    assert (prefix(probe), action(probe)) == (prefix(route), action(route))


def test_no_route_has_a_timeout() -> None:
    watcher = world(ingress=[ingress("a", rule("a.test"))], service=[service("s")], serverless=[serverless("rev")])
    tables = built(watcher)
    for resource in (tables.public, tables.local, tables.activator):
        for host in table(resource).values():
            assert {route.route.timeout for route in host.routes if route.route} == {timedelta(0)}


def test_a_host_is_rewritten_when_the_path_says_so() -> None:
    one = path(split("svc"), rewriteHost="inner.ns.svc.cluster.local")
    (route,) = plain(table(built(world(ingress=[ingress("a", rule("a.test", paths=[one]))])).public)["a.test"])
    assert route.route is not None
    assert route.route.host_rewrite_literal == "inner.ns.svc.cluster.local"


def test_redirected_ingresses_answer_https_in_public_and_serve_in_local() -> None:
    tables = built(world(ingress=[ingress("a", rule("a.test"), httpOption="Redirected")]))
    (route,) = table(tables.public)["a.test"].routes
    assert route.redirect is not None and route.redirect.https_redirect
    assert action(plain(table(tables.local)["a.test"])[0]) == "ns/svc:80"


def test_a_split_to_a_revision_names_the_revisions_cluster() -> None:
    watcher = world(ingress=[ingress("a", rule("a.test", paths=[path(split("rev"))]))], serverless=[serverless("rev")])
    assert action(plain(table(built(watcher).public)["a.test"])[0]) == "ns/rev"


def test_a_split_names_a_service_port_by_number_or_name() -> None:
    ports = [{"name": "web", "port": 8080}, {"name": "other", "port": 81}]
    for port in (8080, "web"):
        one = rule("a.test", paths=[path(split("svc", port=port))])
        tables = built(world(ingress=[ingress("a", one)], service=[service("svc", *ports)]))
        assert action(plain(table(tables.public)["a.test"])[0]) == "ns/svc:8080"


def test_the_older_ingress_keeps_a_contested_host() -> None:
    young = ingress("a", rule("same.test", paths=[path(split("young"))]), created="2026-02-01T00:00:00Z")
    old = ingress("b", rule("same.test", "own.test", paths=[path(split("old"))]), created="2026-01-01T00:00:00Z")
    tables = built(world(ingress=[young, old]))
    assert action(plain(table(tables.public)["same.test"])[0]) == "ns/old:80"
    assert tables.conflicts == {Key("ns", "a"): {"same.test": Key("ns", "b")}}


def test_plain_services_are_local_hosts_and_choose_by_port() -> None:
    ports = [{"name": "admin", "port": 9000}, {"name": "http", "port": 80}]
    host = table(built(world(service=[service("svc", *ports)])).local)["svc.ns.svc.cluster.local"]
    by_admin, by_http, otherwise = host.routes
    assert by_admin.match is not None and by_admin.match.headers[0].string_match is not None
    assert by_admin.match.headers[0].name == ":authority"
    assert by_admin.match.headers[0].string_match.suffix == ":9000"
    assert [action(route) for route in (by_admin, by_http, otherwise)] == ["ns/svc:9000", "ns/svc:80", "ns/svc:80"]


def test_a_routes_placeholder_service_takes_no_host() -> None:
    placeholder = service("hello", labels={"serving.knative.dev/route": "hello"})
    one = rule("hello.ns.svc.cluster.local", paths=[path(split("rev"))], external=False)
    tables = built(world(ingress=[ingress("hello", one)], service=[placeholder], serverless=[serverless("rev")]))
    assert action(plain(table(tables.local)["hello.ns"])[0]) == "ns/rev"


def test_brokers_are_reached_by_their_ingress_host() -> None:
    tables = built(world())
    assert action(table(tables.public)["broker-ingress.knative-eventing.localhost"].routes[0])
    assert action(table(tables.local)["broker-ingress.knative-eventing.svc.cluster.local"].routes[0]) == BROKER_CLUSTER


def test_channels_are_reached_by_their_own_hosts_inside_and_by_the_dispatchers_from_outside() -> None:
    host = "imc-dispatcher.knative-eventing.svc.cluster.local"
    tables = built(world(service=[service("a-kn-channel", {"port": 80}, type="ExternalName", externalName=host)]))
    assert action(table(tables.local)["a-kn-channel.ns.svc.cluster.local"].routes[0]) == BROKER_CLUSTER
    assert action(table(tables.public)["imc-dispatcher.knative-eventing.localhost"].routes[0]) == BROKER_CLUSTER
    assert "a-kn-channel.ns" not in table(tables.public)


def test_the_activator_finds_a_revision_by_its_headers_and_marks_what_it_sends() -> None:
    tables = built(world(serverless=[serverless("rev")]))
    (route,) = table(tables.activator)["*"].routes
    assert route.match is not None
    conditions = {h.name: h.string_match.exact for h in route.match.headers if h.string_match}
    assert conditions == {"knative-serving-namespace": "ns", "knative-serving-revision": "rev"}
    assert action(route) == "ns/rev"
    for resource in (tables.activator, tables.activator_local):
        added = RouteConfiguration.parse(resource.body).request_headers_to_add
        assert edits(added) == {"k-proxy-request": "activator"}
    assert RouteConfiguration.parse(tables.local.body).request_headers_to_add == []


def test_bolt_services_are_found_by_the_interfaces_they_announce() -> None:
    annotations = {"eventmesh.io/service-interfaces": "com.acme.Orders:1.0, com.acme.Stock:1.0"}
    bolt = service("orders", {"name": "bolt", "port": 12200}, annotations=annotations)
    tables = built(world(service=[bolt]))
    found = table(tables.bolt)
    assert set(found) == {"com.acme.Orders:1.0", "com.acme.Stock:1.0"}
    assert action(found["com.acme.Orders:1.0"].routes[0]) == "ns/orders:12200"
    assert "orders.ns" not in table(tables.local)


def test_a_change_of_one_ingress_encodes_no_other_again() -> None:
    watcher = world(ingress=[ingress(name, rule(f"{name}.test")) for name in ("a", "b")])
    builder = views.built(watcher)
    before = builder.table("public")
    watcher.ingress(None, ingress("b", rule("b.test", paths=[path(split("other"))])))
    builder.update(watcher.of, watcher.take_changed())
    after = builder.table("public")
    assert before.version != after.version
    assert plain(table(after)["a.test"]) == plain(table(before)["a.test"])
    builder.update(watcher.of, watcher.take_changed())
    assert builder.table("public") is after


def test_a_host_goes_to_the_next_claimant_in_another_namespace_when_its_owner_leaves() -> None:
    old = ingress("old", rule("same.test", paths=[path(split("old"))]), created="2026-01-01T00:00:00Z")
    young = ingress("young", rule("same.test", paths=[path(split("young"))]), created="2026-02-01T00:00:00Z")
    watcher = world(ingress=[old, views.within("other", young)])
    builder = views.built(watcher)
    assert builder.conflicts == {Key("other", "young"): {"same.test": Key("ns", "old")}}
    watcher.ingress(old, None)
    changed = watcher.take_changed()
    assert changed.namespaces == {"ns"}
    builder.update(watcher.of, changed)
    assert action(plain(table(builder.table("public"))["same.test"])[0]) == "other/young:80"
    assert builder.conflicts == {}
    watcher.ingress(None, old)
    builder.update(watcher.of, watcher.take_changed())
    assert action(plain(table(builder.table("public"))["same.test"])[0]) == "ns/old:80"
    assert builder.conflicts == {Key("other", "young"): {"same.test": Key("ns", "old")}}


def test_the_activator_is_told_the_interfaces_that_events_may_call() -> None:
    told = views.built(Watcher()).sets(Audience(Role.ACTIVATOR))[ResourceType.ROUTE]
    assert set(told) == {"activator", "local", "bolt", "dubbo"}


def test_a_table_is_the_same_whatever_the_order_in_which_its_hosts_came() -> None:
    hosts = {
        f"team-{number}": fragment(VirtualHost(name=f"h{number}", domains=[f"h{number}"])) for number in range(150)
    }
    one, other = Contributions(), Contributions()
    for team, host in hosts.items():
        assert one.put(team, host.field)
    for team, host in reversed(hosts.items()):
        other.put(team, b"")
        other.put(team, host.field)
    joined_ = one.table("public")
    assert (joined_, joined_.body) == (other.table("public"), other.table("public").body)
    found = RouteConfiguration.parse(joined_.body)
    assert sorted(host.name for host in found.virtual_hosts) == sorted(f"h{number}" for number in range(150))
    assert found.ignore_port_in_host_matching


def test_a_table_has_another_version_when_a_host_differs_and_none_when_nothing_does() -> None:
    table_ = Contributions()
    table_.put("team", b"\x12\x03\x0a\x01a")
    before = table_.table("public").version
    assert not table_.put("team", b"\x12\x03\x0a\x01a") and not table_.put("nobody", b"")
    assert table_.table("public").version == before
    assert table_.put("team", b"\x12\x03\x0a\x01b") and table_.table("public").version != before
    assert table_.put("team", b"") and table_.table("public") == Contributions().table("public")
