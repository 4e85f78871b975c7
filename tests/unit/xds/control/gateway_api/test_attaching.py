"""Which routes are served where."""

from __future__ import annotations

import pytest

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.xds.control.gateway_api.attaching import Attached, Ports, Side, attach, common_hosts
from eventmesh.xds.control.gateway_api.watcher import GatewayApiWatcher
from tests.unit.xds.control.gateway_api.objects import NEW, gateway, gateway_class, grant, listener, route, to

PORTS = Ports(frozenset((80,)), frozenset((443,)))


def seen(gateways: list[Object], routes: list[Object], labels: dict[str, dict[str, str]] | None = None) -> Attached:
    watcher = GatewayApiWatcher()
    watcher.gateway_class(None, gateway_class())
    for obj in gateways:
        watcher.gateway(None, obj)
    for name, own in (labels or {}).items():
        watcher.namespace(None, {"metadata": {"name": name, "labels": own}})
    for obj in routes:
        watcher.http_route(None, obj)
    return attach(watcher.world, PORTS, [Key("ns", "svc")], "cluster.local")


def reasons(found: Attached) -> list[str]:
    return [reason for reason, _ in found.rejected.values()]


@pytest.mark.parametrize(
    ("of_listener", "of_route", "common"),
    [
        ("", (), ("*",)),
        ("a.test", (), ("a.test",)),
        ("", ("a.test", "b.test"), ("a.test", "b.test")),
        ("*.test", ("a.test", "a.b.test", "test", "other"), ("a.test", "a.b.test")),
        ("a.test", ("*.test",), ("a.test",)),
        ("*.b.test", ("*.test", "*.a.b.test"), ("*.b.test", "*.a.b.test")),
        ("*.test", ("*.test",), ("*.test",)),
        ("a.test", ("b.test",), ()),
    ],
)
def test_hosts_in_common_are_the_narrower_ones(
    of_listener: str, of_route: tuple[str, ...], common: tuple[str, ...]
) -> None:
    assert common_hosts(of_listener, of_route) == common


def test_routes_of_one_host_stand_in_the_order_of_their_age() -> None:
    routes = [
        route("a-new", hosts=("h.test",), created=NEW),
        route("z-old", hosts=("h.test",)),
        route("b", hosts=("h.test",)),
    ]
    found = seen([gateway("front")], routes).hosts[(Side.PUBLIC, "h.test")]
    assert [one.key.name for one in found] == ["b", "z-old", "a-new"]


def test_listeners_for_tls_serve_under_tls_alone() -> None:
    tls = listener("tls", 443, "HTTPS", tls={"certificateRefs": [{"name": "cert"}]}, hostname="s.test")
    found = seen([gateway("front", listener("http", hostname="p.test"), tls)], [route("r")])
    assert set(found.hosts) == {(Side.PUBLIC, "p.test"), (Side.SECURE, "s.test")}
    assert found.counts == {(Key("ns", "front"), "http"): 1, (Key("ns", "front"), "tls"): 1}


@pytest.mark.parametrize(
    ("namespaces", "labels", "taken"),
    [
        ({"from": "Same"}, {}, False),
        ({"from": "All"}, {}, True),
        ({"from": "None"}, {}, False),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "red"}}}, {"team": "red"}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "red"}}}, {"team": "blue"}, False),
        (
            {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}},
            {"team": "blue"},
            True,
        ),
    ],
)
def test_a_listener_says_whose_routes_it_takes(namespaces: Object, labels: dict[str, str], taken: bool) -> None:
    front = gateway("front", listener("http", allowedRoutes={"namespaces": namespaces}))
    abroad = route("r", namespace="other", parentRefs=[{"name": "front", "namespace": "ns"}])
    found = seen([front], [abroad], {"other": labels})
    assert bool(found.hosts) is taken
    assert reasons(found) == ([] if taken else ["NotAllowedByListeners"])


def test_kinds_that_a_listener_does_not_take_are_not_attached() -> None:
    front = gateway("front", listener("http", allowedRoutes={"kinds": [{"kind": "GRPCRoute"}]}))
    assert reasons(seen([front], [route("r")])) == ["NotAllowedByListeners"]


def test_gateways_of_other_classes_are_none_of_our_business() -> None:
    found = seen([gateway("front", class_="istio")], [route("r")])
    assert not found.hosts and not found.rejected


def test_a_service_is_a_parent_for_routes_of_its_own_namespace() -> None:
    own = {"group": "", "kind": "Service", "name": "svc"}
    found = seen([], [route("r", to("other"), parentRefs=[own])])
    assert set(found.hosts) == {(Side.LOCAL, "svc.ns.svc.cluster.local")}
    assert found.services == {"svc.ns.svc.cluster.local": Key("ns", "svc")}
    refused = [
        route("abroad", namespace="other", parentRefs=[{**own, "namespace": "ns"}]),
        route("missing", parentRefs=[{**own, "name": "nobody"}]),
        route("port", parentRefs=[{**own, "port": 80}]),
    ]
    assert sorted(reasons(seen([], refused))) == ["NoMatchingParent", "NotAllowedByListeners", "UnsupportedValue"]


def test_a_grant_opens_a_namespace_for_those_it_names() -> None:
    watcher = GatewayApiWatcher()
    watcher.grant(None, grant("ns", "friend", "one"))
    permits = watcher.world.permits
    assert permits("HTTPRoute", "friend", "Service", Key("ns", "one"))
    assert not permits("HTTPRoute", "friend", "Service", Key("ns", "two"))
    assert not permits("GRPCRoute", "friend", "Service", Key("ns", "one"))
    assert not permits("HTTPRoute", "stranger", "Service", Key("ns", "one"))
    assert permits("HTTPRoute", "ns", "Service", Key("ns", "two"))
    watcher.grant(None, grant("ns", "friend"))
    assert watcher.world.permits("HTTPRoute", "friend", "Service", Key("ns", "two"))
