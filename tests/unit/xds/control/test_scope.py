"""What a sidecar is told: its namespace, its declared egress, and the way to the gateway for the rest."""

from __future__ import annotations

import pytest

from eventmesh.kube.objects import Key
from eventmesh.xds.control.builder import ResourceBuilder, ResourceSets
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.messages import Node, Role
from eventmesh.xds.control.scope import (
    MAX_EGRESS,
    Audience,
    ForeignIdentityError,
    audience_of,
    identified,
    parse_egress,
    proven_identity,
    scope_of,
)
from eventmesh.xds.control.services import BROKER_CLUSTER, GATEWAY_CLUSTER, Settings
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.identity.spiffe import MeshParts, SpiffeId
from tests.unit.xds.control.dialogue import CDS, EDS, LDS, RDS
from tests.unit.xds.control.views import (
    built,
    hosts_of,
    ingress,
    namespace,
    path,
    rule,
    serverless,
    service,
    slice_,
    split,
    table,
    within,
    world,
)

OWN = Audience(Role.SIDECAR, "shop")
BOLT = {"eventmesh.io/service-interfaces": "com.bank.Ledger:1.0"}


def mesh(egress: str = "") -> Watcher:
    """A function and a plain Service in `shop`; two functions and a Bolt Service in `bank`."""
    watcher = Watcher()
    for where, name in (("shop", "cart"), ("bank", "loans"), ("bank", "rates")):
        one = rule(f"{name}.{where}.svc.cluster.local", paths=[path(split(f"{name}-1"))], external=False)
        watcher.ingress(None, within(where, ingress(name, one)))
        watcher.serverless(None, within(where, serverless(f"{name}-1")))
    watcher.service(None, within("shop", service("stock")))
    watcher.service(None, within("bank", service("ledger", {"name": "bolt", "port": 12200}, annotations=BOLT)))
    if egress:
        watcher.namespace(None, namespace("shop", egress))
    return watcher


def told(builder: ResourceBuilder, audience: Audience = OWN) -> ResourceSets:
    return builder.sets(audience)


def hosts(sets: ResourceSets) -> set[str]:
    return set(table(sets[RDS]["local"]))


def test_a_sidecar_is_told_of_its_own_namespace_and_of_the_way_to_the_gateway() -> None:
    sets = told(built(mesh()))
    local = table(sets[RDS]["local"])
    assert {"cart.shop", "stock.shop", "broker-ingress.knative-eventing", "*"} <= set(local)
    assert not any("bank" in host for host in local)
    assert {n for n in sets[CDS] if not n.startswith("bank/ledger")} == {
        *("shop/cart-1", "shop/stock:80"),
        *(BROKER_CLUSTER, GATEWAY_CLUSTER),
    }
    assert sets[EDS].keys() == sets[CDS].keys()
    (beyond,) = local["*"].routes
    assert beyond.route is not None and beyond.route.cluster == GATEWAY_CLUSTER
    assert hosts_of(sets[EDS][GATEWAY_CLUSTER]) == {"127.0.0.1:8081"}


@pytest.mark.parametrize(
    ("egress", "seen", "unseen"),
    [
        ("bank/loans", {"loans.bank"}, {"rates.bank"}),
        ("bank/loans, bank/rates", {"loans.bank", "rates.bank"}, set()),
        ("bank/*", {"loans.bank", "rates.bank"}, set()),
        ("*/*", {"loans.bank", "rates.bank"}, {"*"}),
    ],
)
def test_declared_egress_is_seen_and_nothing_else(egress: str, seen: set[str], unseen: set[str]) -> None:
    sets = told(built(mesh(egress)))
    found = hosts(sets)
    assert seen | {"cart.shop"} <= found
    assert not unseen & found
    assert {f"bank/{host.removesuffix('.bank')}-1" for host in seen} <= sets[CDS].keys()


def test_bolt_interfaces_of_other_namespaces_are_seen_until_egress_is_declared() -> None:
    assert set(table(told(built(mesh()))[RDS]["bolt"])) == {"com.bank.Ledger:1.0"}
    assert "bank/ledger:12200" in told(built(mesh()))[CDS]
    assert not table(told(built(mesh("bank/loans")))[RDS]["bolt"])
    assert set(table(told(built(mesh("bank/ledger")))[RDS]["bolt"])) == {"com.bank.Ledger:1.0"}


def test_gateways_activators_and_sidecars_without_a_namespace_are_told_everything() -> None:
    builder = built(mesh())
    for audience in (Audience(Role.GATEWAY), Audience(Role.ACTIVATOR), Audience(Role.SIDECAR)):
        assert {"cart.shop", "loans.bank", "rates.bank"} <= hosts(told(builder, audience))


def test_a_grpc_channel_gets_a_table_of_its_own_for_the_host_it_names() -> None:
    sets = told(built(mesh()), Audience(Role.GRPC))
    name = "loans.bank.svc.cluster.local"
    assert name in sets[LDS]
    assert set(table(sets[RDS][name])) == {"loans.bank", "loans.bank.svc", name}


@pytest.mark.parametrize(
    ("where", "concerned"),
    [("shop", {"shop"}), ("bank", {"shop", "bank"}), ("third", {"third"})],
)
def test_a_change_concerns_the_sidecars_that_can_see_it_and_no_others(where: str, concerned: set[str]) -> None:
    watcher = mesh("bank/loans")
    for name in ("bank", "third"):
        watcher.namespace(None, namespace(name, "unused/*"))
    builder = built(watcher)
    watcher.service(None, within(where, service("new")))
    builder.update(watcher.of, watcher.take_changed())
    assert {name for name in ("shop", "bank", "third") if builder.affects(Audience(Role.SIDECAR, name))} == concerned
    watcher.slice(None, within(where, slice_("new", "10.0.0.1")))
    builder.update(watcher.of, watcher.take_touched())
    assert {name for name in ("shop", "bank", "third") if builder.affects(Audience(Role.SIDECAR, name))} == concerned


def test_a_bolt_service_elsewhere_concerns_every_namespace_that_has_declared_nothing() -> None:
    watcher = mesh()
    builder = built(watcher)
    builder.sets(OWN)
    watcher.slice(None, within("bank", slice_("ledger", "10.0.0.1", port=12200, name="bolt")))
    builder.update(watcher.of, watcher.take_changed())
    assert builder.affects(OWN)
    assert hosts_of(told(builder)[EDS]["bank/ledger:12200"]) == {"10.0.0.1:12200"}


def test_a_namespace_that_has_gone_leaves_nothing_behind() -> None:
    watcher = world(service=[within("gone", service("svc"))])
    builder = built(watcher)
    watcher.service(within("gone", service("svc")), None)
    builder.update(watcher.of, watcher.take_changed())
    sets = told(builder, Audience(Role.GATEWAY))
    empty = told(built(world()), Audience(Role.GATEWAY))
    assert sets == empty


def test_a_gateway_on_every_address_is_found_by_its_service() -> None:
    sets = told(built(mesh(), Settings(local=("0.0.0.0", 8081))))
    assert GATEWAY_CLUSTER in sets[CDS]
    assert GATEWAY_CLUSTER not in sets[EDS]
    assert b"gateway-internal.eventmesh-system.svc.cluster.local" in sets[CDS][GATEWAY_CLUSTER].body


def test_the_audience_of_a_sidecar_is_its_namespace() -> None:
    assert audience_of(Node("p", metadata={"role": "sidecar", "namespace": "shop"})) == OWN
    assert audience_of(Node("p", metadata={"role": "sidecar"})) == Audience(Role.SIDECAR)
    assert audience_of(Node("g", metadata={"role": "gateway", "namespace": "shop"})) == Audience(Role.GATEWAY)


@pytest.mark.parametrize("wrong", ["bank", "bank/", "/loans", "*/loans", "Bank/loans", "bank/loans/x", "bank/l*"])
def test_egress_that_is_not_understood_is_named_and_declares_nothing(wrong: str) -> None:
    watcher = Watcher()
    watcher.namespace(None, namespace("shop", "bank/*"))
    assert watcher.namespace(None, namespace("shop", f"bank/*,{wrong}")) is Effect.EVERYTHING
    assert repr(wrong) in watcher.invalid_egress["shop"]
    assert watcher.of("shop").egress == ()
    watcher.namespace(None, namespace("shop", "bank/*"))
    assert not watcher.invalid_egress


def test_a_declaration_has_a_longest_length() -> None:
    fits = ",".join(f"ns-{number}/*" for number in range(MAX_EGRESS))
    assert len(parse_egress(namespace("shop", fits))) == MAX_EGRESS
    with pytest.raises(ValueError, match="257 entries"):
        parse_egress(namespace("shop", f"{fits},more/*"))


def test_a_scope_sees_namespaces_whole_or_single_services_of_them() -> None:
    scope = scope_of("shop", [Key("bank", "loans"), Key("club", "*"), Key("club", "bar")])
    assert scope.sees(Key("shop", "any")) and scope.sees(Key("club", "any")) and scope.sees(Key("bank", "loans"))
    assert not scope.sees(Key("bank", "rates"))
    assert scope.looks_into(["bank"]) and not scope.looks_into(["elsewhere"])


def crowd(namespaces: int) -> Watcher:
    """Ten functions in each of so many namespaces."""
    watcher = Watcher()
    for number in range(namespaces * 10):
        where, name = f"team-{number // 10}", f"svc-{number}"
        one = rule(f"{name}.{where}.svc.cluster.local", paths=[path(split(f"{name}-1"))], external=False)
        watcher.ingress(None, within(where, ingress(name, one)))
        watcher.serverless(None, within(where, serverless(f"{name}-1")))
    return watcher


def size(sets: ResourceSets) -> int:
    return sum(len(resource.delta_field) for named in sets.values() for resource in named.values())


def test_what_a_sidecar_is_told_does_not_grow_with_the_rest_of_the_mesh() -> None:
    small, large = built(crowd(2)), built(crowd(30))
    team = Audience(Role.SIDECAR, "team-1")
    assert size(told(large, team)) == size(told(small, team))
    assert size(told(large, team)) < size(told(large, Audience(Role.SIDECAR))) / 20


PARTS = MeshParts.of("cluster.local")
CART = SpiffeId("cluster.local", "shop", "cart")


def node(role: str, namespace: str = "") -> Node:
    return Node("n-1", metadata={"role": role, "namespace": namespace})


def test_a_client_is_told_what_its_certificate_entitles_it_to() -> None:
    assert identified(node("sidecar", "shop"), CART, PARTS) == Audience(Role.SIDECAR, "shop", identity=CART)
    assert identified(node("gateway"), PARTS.gateway, PARTS) == Audience(Role.GATEWAY, "", identity=PARTS.gateway)
    assert identified(node("activator"), PARTS.activator, PARTS).role is Role.ACTIVATOR


@pytest.mark.parametrize(
    ("who", "identity", "reason"),
    [
        (
            node("sidecar", "bank"),
            CART,
            "says it is in namespace 'bank', .* that of .*/ns/shop/sa/cart",
        ),
        (node("sidecar"), CART, "says it is in namespace ''"),
        (node("gateway"), CART, "says its role is gateway"),
        (node("activator"), PARTS.gateway, "says its role is activator"),
        (Node("envoy", user_agent="envoy"), CART, "says its role is envoy"),
        (node("sidecar", "shop"), SpiffeId("other.mesh", "shop", "cart"), "another trust domain than cluster.local"),
    ],
)
def test_whoever_claims_more_is_refused_by_name(who: Node, identity: SpiffeId, reason: str) -> None:
    with pytest.raises(ForeignIdentityError, match=reason):
        identified(who, identity, PARTS)


def test_a_certificate_proves_one_spiffe_id_or_none_at_all() -> None:
    assert proven_identity([]) is None
    assert proven_identity(["cart.shop.svc", str(CART)]) == CART


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["cart.shop.svc"], "bears 0 SPIFFE ids"),
        ([str(CART), str(PARTS.gateway)], "bears 2 SPIFFE ids"),
        (["spiffe://"], "spiffe://"),
    ],
)
def test_a_certificate_that_proves_nothing_is_refused(names: list[str], reason: str) -> None:
    with pytest.raises(ForeignIdentityError, match=reason):
        proven_identity(names)
