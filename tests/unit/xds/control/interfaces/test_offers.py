"""Routing by interface: which Service is reached by a call of an interface, a group and a version."""

from __future__ import annotations

import pytest

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.model.match import TextKind
from eventmesh.model.route import Forward
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.policy.attaching import attached
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.resource_types import ResourceType
from tests.unit.xds.control.views import (
    built,
    cluster_of,
    declaration,
    interface,
    namespace,
    policy,
    read_table,
    service,
    table,
    within,
    world,
)

DUBBO: Object = {"name": "rpc", "port": 20880, "appProtocol": "dubbo"}
BOLT: Object = {"name": "bolt", "port": 12200}
LAMP: Object = {"name": "rpc", "port": 7000, "appProtocol": "eventmesh.io/lamp"}
SIDECAR = Audience(Role.SIDECAR, "ns")


def whole(watcher: Watcher) -> ResourceBuilder:
    """Return a builder that has built all that the watcher holds, whoever has asked it before."""
    builder = ResourceBuilder(Settings())
    builder.update(lambda namespace: attached(watcher.of(namespace)), watcher.everything())
    return builder


def routes(watcher: Watcher, name: str, domain: str) -> list[tuple[dict[str, str], str]]:
    """Return (conditions, cluster) of each route of an interface, as a sidecar reads them."""
    hosts = read_table(whole(watcher).table(name)).virtual_hosts
    found = next(host for host in hosts if domain.lower() in host.domains)
    out = []
    for route in found.routes:
        assert isinstance(route.action, Forward)
        assert all(condition.kind is TextKind.EXACT for condition in route.match.headers)
        conditions = {condition.name: condition.value for condition in route.match.headers}
        out.append((conditions, route.action.clusters[0].name))
    return out


def offering(*names: str) -> list[Object]:
    return [{"name": name} for name in names]


def test_dubbo_services_are_called_by_interface_and_by_nothing_else() -> None:
    watcher = world(service=[service("orders", DUBBO)], interface=[interface("o", *offering("com.shop.Orders"))])
    assert routes(watcher, "dubbo", "com.shop.Orders") == [({}, "ns/orders:20880")]
    builder = whole(watcher)
    assert "orders.ns" not in table(builder.table("local"))
    assert not table(builder.table("bolt"))
    said = cluster_of(builder.sets(SIDECAR)[ResourceType.CLUSTER]["ns/orders:20880"]).metadata
    assert said is not None
    assert said.filter_metadata["eventmesh"].fields["protocol"].string_value == "dubbo"


def test_services_in_several_groups_and_versions_share_an_interface_and_the_more_is_said_the_earlier() -> None:
    any_, canary = {"name": "a.B"}, {"name": "a.B", "group": "canary"}
    second, both = {"name": "a.B", "version": "2.0"}, {"name": "a.B", "group": "canary", "version": "2.0"}
    names = {"plain": any_, "canary": canary, "second": second, "both": both}
    watcher = world(
        service=[service(name, DUBBO) for name in names],
        interface=[interface(name, offered, service=name) for name, offered in names.items()],
    )
    elsewhere = {"name": "a.B", "group": "far"}
    watcher.service(None, within("other", service("far", DUBBO)))
    watcher.interface(None, within("other", interface("far", elsewhere, service="far")))
    assert routes(watcher, "dubbo", "a.B") == [
        ({"group": "canary", "version": "2.0"}, "ns/both:20880"),
        ({"version": "2.0"}, "ns/second:20880"),
        ({"group": "canary"}, "ns/canary:20880"),
        ({"group": "far"}, "other/far:20880"),
        ({}, "ns/plain:20880"),
    ]


def test_a_service_of_two_protocols_offers_its_interfaces_in_both() -> None:
    offered = interface("o", {"name": "a.B", "version": "1.1"})
    watcher = world(service=[service("orders", DUBBO, BOLT)], interface=[offered])
    assert routes(watcher, "dubbo", "a.B") == [({"version": "1.1"}, "ns/orders:20880")]
    assert routes(watcher, "bolt", "a.B:1.1") == [({}, "ns/orders:12200")]


def test_versions_of_digits_alone_are_told_apart_though_hosts_are_compared_without_them() -> None:
    names = {"one": "1", "two": "2", "plain": ""}
    watcher = world(
        service=[service(name, BOLT) for name in names],
        interface=[interface(name, {"name": "a.B", "version": said}, service=name) for name, said in names.items()],
    )
    hosts = {host.domains: host for host in read_table(whole(watcher).table("bolt")).virtual_hosts}
    assert set(hosts) == {("a.b",), ("a.b:1.0",)}
    found = [(route.match.path, route.action) for route in hosts[("a.b",)].routes]
    assert [path for path, _ in found] == ["/a.B:1/", "/a.B:2/", "/"]
    assert [action.clusters[0].name for _, action in found if isinstance(action, Forward)] == [
        "ns/one:12200",
        "ns/two:12200",
        "ns/plain:12200",
    ]


def test_names_that_differ_in_nothing_but_case_are_one_name() -> None:
    first = interface("a", {"name": "a.B"}, service="one", created="2026-01-01T00:00:00Z")
    second = interface("b", {"name": "A.b"}, service="two", created="2026-02-01T00:00:00Z")
    watcher = world(service=[service("one", DUBBO), service("two", DUBBO)], interface=[first, second])
    builder = whole(watcher)
    assert len(read_table(builder.table("dubbo")).virtual_hosts) == 1
    assert builder.offers.lost == {Key("ns", "b"): {"A.b": Key("ns", "a")}}


def test_a_port_may_be_chosen_by_its_name() -> None:
    ports = [{**DUBBO, "name": "first", "port": 1}, {**DUBBO, "name": "second", "port": 2}]
    first, second = interface("a", {"name": "a.A"}), interface("b", {"name": "a.B"}, sectionName="second")
    watcher = world(service=[service("orders", *ports)], interface=[first, second])
    assert routes(watcher, "dubbo", "a.A") == [({}, "ns/orders:1")]
    assert routes(watcher, "dubbo", "a.B") == [({}, "ns/orders:2")]


def test_the_oldest_claim_to_an_interface_holds_and_the_next_one_comes_after_it() -> None:
    old = interface("z", {"name": "a.B"}, service="old", created="2026-01-01T00:00:00Z")
    young = interface("a", {"name": "a.B"}, {"name": "a.C"}, service="young", created="2026-02-01T00:00:00Z")
    watcher = world(service=[service("old", DUBBO), service("young", DUBBO)], interface=[young, old])
    assert routes(watcher, "dubbo", "a.B") == [({}, "ns/old:20880")]
    assert routes(watcher, "dubbo", "a.C") == [({}, "ns/young:20880")]
    builder = whole(watcher)
    assert builder.offers.lost == {Key("ns", "a"): {"a.B": Key("ns", "z")}}
    watcher.interface(old, None)
    builder.update(watcher.of, watcher.take_changed())
    assert builder.offers.lost == {}
    assert "ns/young:20880" in str(read_table(builder.table("dubbo")))


def test_what_is_called_by_interface_is_seen_everywhere_until_egress_is_declared() -> None:
    watcher = world(service=[service("orders", DUBBO)], interface=[interface("o", {"name": "a.B"})])

    def seen() -> set[str]:
        sets = whole(watcher).sets(Audience(Role.SIDECAR, "shop"))
        tables = set(table(sets[ResourceType.ROUTE]["dubbo"]))
        assert ("ns/orders:20880" in sets[ResourceType.CLUSTER]) == bool(tables)
        return tables

    assert seen() == {"a.B"}
    watcher.namespace(None, namespace("shop", "bank/*"))
    assert seen() == set()
    watcher.namespace(None, namespace("shop", "ns/orders"))
    assert seen() == {"a.B"}


def test_routes_by_interface_obey_the_policy_of_their_service() -> None:
    target = [{"kind": "Service", "name": "orders"}]
    limit = policy("p", targetRefs=target, timeouts={"request": "2s"}, rateLimit={"requests": 5})
    watcher = world(service=[service("orders", DUBBO)], interface=[interface("o", {"name": "a.B"})], policy=[limit])
    (host,) = read_table(whole(watcher).table("dubbo")).virtual_hosts
    (route,) = host.routes
    assert isinstance(route.action, Forward) and route.action.timeout_s == 2.0
    assert route.filters is not None and route.filters.rate_limit is not None


@pytest.mark.parametrize("protocol", ["lamp", "eventmesh.io/lamp"])
def test_a_port_speaks_a_declared_protocol_from_its_declaration_on(protocol: str) -> None:
    watcher = world(
        service=[service("house", {**LAMP, "appProtocol": protocol})],
        interface=[interface("i", {"name": "kitchen"}, service="house")],
    )
    builder = built(watcher)
    assert "house.ns" in table(builder.table("local")), "HTTP, as everything that says nothing else"
    watcher.declaration(None, declaration("lamp"))
    builder.update(watcher.of, watcher.take_changed())
    assert set(table(builder.table("declared/lamp"))) == {"kitchen"}
    assert "house.ns" not in table(builder.table("local"))
    said = cluster_of(builder.sets(SIDECAR)[ResourceType.CLUSTER]["ns/house:7000"]).metadata
    assert said is not None
    fields = said.filter_metadata["eventmesh"].fields
    assert (fields["protocol"].string_value, fields["declaration"].string_value) == ("framed", "lamp")
    watcher.declaration(declaration("lamp"), None)
    builder.update(watcher.of, watcher.take_changed())
    assert "house.ns" in table(builder.table("local"))
    assert "declared/lamp" not in builder.sets(SIDECAR)[ResourceType.ROUTE]
