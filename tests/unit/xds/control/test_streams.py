"""The order between types: no request ever meets a route without its cluster, or a cluster without its endpoints."""

from __future__ import annotations

import pytest

from eventmesh.xds.control.messages import Node, Request, Role
from eventmesh.xds.control.streams import CLUSTER_LINGER_S, ROUTES_WAIT_S
from eventmesh.xds.control.subscriptions import Variant
from eventmesh.xds.resource_types import ResourceType
from tests.unit.xds.control.dialogue import CDS, EDS, LDS, RDS, Client, names, resource, service

VARIANTS = [Variant.SOTW, Variant.DELTA]
TABLE = frozenset(("t",))


def connected(variant: Variant, *clusters: str) -> Client:
    """Return a client that has been sent clusters, endpoints, a listener and a route table."""
    client = Client(variant, *(r for name in clusters for r in service(name)), resource(LDS, "l"), resource(RDS, "t"))
    ask(client, CDS)
    client.settle()
    ask(client, EDS, *clusters)
    ask(client, LDS)
    ask(client, RDS, "t")
    client.settle()
    return client


def ask(client: Client, type_: object, *wanted: str) -> None:
    kind = next(k for k in (CDS, EDS, LDS, RDS) if k is type_)
    if client.stream.variant is Variant.SOTW:
        client.request(kind, *wanted, nonce=client.stream.subscription(kind).nonce)
    else:
        client.subscribe(kind, *wanted)


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_changes_together_is_pushed_in_dependency_order(variant: Variant) -> None:
    client = connected(variant, "a")
    client.publish(resource(CDS, "a", "2"), resource(EDS, "a", "2"), resource(LDS, "l", "2"), resource(RDS, "t", "2"))
    assert [p.type for p in client.settle()][:3] == [CDS, EDS, LDS]


@pytest.mark.parametrize("variant", VARIANTS)
def test_routes_wait_until_the_endpoints_of_new_clusters_are_acknowledged(variant: Variant) -> None:
    client = connected(variant, "a")
    client.publish(*service("a"), *service("new"), resource(LDS, "l"), resource(RDS, "t", "2"))
    clusters = client.push()
    assert clusters.type is CDS
    client.ack(clusters)
    assert client.pushes() == []
    ask(client, EDS, "a", "new")
    endpoints = client.push()
    assert "new" in names(endpoints)
    client.ack(endpoints)
    assert client.push().type is RDS


@pytest.mark.parametrize("variant", VARIANTS)
def test_routes_wait_no_longer_than_their_cap(variant: Variant) -> None:
    client = connected(variant, "a")
    client.publish(*service("a"), *service("new"), resource(LDS, "l"), resource(RDS, "t", "2"))
    client.ack(client.push())
    assert client.pushes() == []
    assert client.stream.wake_at() == ROUTES_WAIT_S
    client.now = ROUTES_WAIT_S
    assert client.push().type is RDS
    assert client.stream.capped_waits == 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_routes_do_not_wait_for_the_endpoints_of_a_refused_cluster(variant: Variant) -> None:
    client = connected(variant, "a")
    client.publish(*service("a"), *service("new"), resource(LDS, "l"), resource(RDS, "t", "2"))
    client.nack(client.push(), "cluster new: no")
    assert RDS in [push.type for push in client.settle()]


def test_sotw_endpoints_asked_for_again_after_a_cluster_change_are_answered() -> None:
    # Envoy repeats its request with names and nonce unchanged, and warms for 15 s if that is taken for an ACK.
    client = connected(Variant.SOTW, "a", "b")
    client.publish(*service("a", "2"), *service("b"), resource(LDS, "l"), resource(RDS, "t"))
    client.ack(client.push())
    client.request(EDS, "a", "b", nonce=client.stream.subscription(EDS).nonce)
    answer = client.push()
    assert (answer.type, names(answer), answer.changed) == (EDS, ["a"], frozenset())
    client.ack(answer)
    client.request(EDS, "a", "b", nonce=answer.nonce)
    assert client.pushes() == []


def test_delta_endpoints_follow_a_changed_cluster_unasked() -> None:
    client = connected(Variant.DELTA, "a", "b")
    client.publish(*service("a", "2"), *service("b"), resource(LDS, "l"), resource(RDS, "t"))
    clusters, endpoints = client.pushes()
    assert (clusters.type, names(clusters)) == (CDS, ["a"])
    assert (endpoints.type, names(endpoints)) == (EDS, ["a"])
    assert client.stream.forced_endpoints == 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_endpoint_change_is_pushed_alone(variant: Variant) -> None:
    client = connected(variant, "a", "b")
    client.publish(resource(CDS, "a"), resource(EDS, "a", "2"), *service("b"), resource(LDS, "l"), resource(RDS, "t"))
    push = client.push()
    assert (push.type, names(push)) == (EDS, ["a"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_removed_cluster_lingers_until_routes_without_it_are_acknowledged(variant: Variant) -> None:
    client = connected(variant, "a", "b")
    client.publish(*service("a"), resource(LDS, "l"), resource(RDS, "t", "2"))
    routes = client.push()
    assert routes.type is RDS
    client.now = 100.0
    assert client.pushes() == []
    client.ack(routes)
    assert client.pushes() == []
    due = client.stream.wake_at()
    assert due == 100.0 + CLUSTER_LINGER_S
    client.now = due
    removal = client.push()
    assert removal.type is CDS
    # In the state of the world it is said by its absence, and known all the same.
    assert (names(removal), removal.removed) == (["a"] if variant is Variant.SOTW else [], ("b",))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_lingering_cluster_stays_in_complete_responses_and_keeps_its_endpoints(variant: Variant) -> None:
    client = connected(variant, "a", "b")
    client.publish(*service("a", "2"), resource(LDS, "l"), resource(RDS, "t", "2"))
    pushes = client.settle()
    assert all(not push.removed for push in pushes)
    clusters = next(push for push in pushes if push.type is CDS)
    assert names(clusters) == (["a", "b"] if variant is Variant.SOTW else ["a"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_cluster_that_comes_back_while_it_lingers_was_never_gone(variant: Variant) -> None:
    client = connected(variant, "a", "b")
    client.publish(*service("a"), resource(LDS, "l"), resource(RDS, "t", "2"))
    client.settle()
    client.publish(*service("a"), *service("b"), resource(LDS, "l"), resource(RDS, "t", "3"))
    assert [push.type for push in client.settle()] == [RDS]
    client.now = 1000.0
    assert client.pushes() == []
    assert client.stream.wake_at() is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_generation_is_acknowledged_when_its_last_type_is(variant: Variant) -> None:
    client = connected(variant, "a")
    assert client.stream.acknowledged(TABLE) == client.generation
    generation = client.publish(
        resource(CDS, "a"), resource(EDS, "a", "2"), resource(LDS, "l"), resource(RDS, "t", "2")
    )
    endpoints, routes = client.pushes()
    client.ack(routes)
    assert client.stream.acknowledged(TABLE) < generation
    client.ack(endpoints)
    client.pushes()
    assert client.stream.acknowledged(TABLE) == generation


@pytest.mark.parametrize("variant", VARIANTS)
def test_acknowledgement_advances_under_constant_change(variant: Variant) -> None:
    client = connected(variant, "a")
    base = client.stream.acknowledged(TABLE)
    for round_ in range(5):
        client.publish(resource(CDS, "a"), resource(EDS, "a", str(round_)), resource(LDS, "l"), resource(RDS, "t"))
        pushes = client.pushes()
        # The next change comes before every answer.
        client.publish(resource(CDS, "a"), resource(EDS, "a", f"{round_}+"), resource(LDS, "l"), resource(RDS, "t"))
        for push in pushes:
            client.ack(push)
    assert client.stream.acknowledged(TABLE) > base + 5


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_client_without_its_route_tables_serves_nothing_yet(variant: Variant) -> None:
    client = connected(variant, "a")
    assert client.stream.acknowledged(frozenset(("t", "other"))) == -1
    fresh = Client(variant, resource(CDS, "a"))
    ask(fresh, CDS)
    fresh.settle()
    assert fresh.stream.acknowledged(frozenset()) == -1


def test_a_type_we_do_not_serve_is_never_answered() -> None:
    client = Client(Variant.SOTW, resource(CDS, "a"))
    client.stream.receive(Request("type.googleapis.com/envoy.service.runtime.v3.Runtime", names=("x",)), 0.0)
    assert client.pushes() == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_lingering_cluster_that_the_client_drops_itself_is_forgotten(variant: Variant) -> None:
    client = Client(variant, *service("a"), *service("b"), resource(LDS, "l"), resource(RDS, "t"))
    ask(client, CDS, "a", "b")
    client.settle()
    ask(client, EDS, "a", "b")
    ask(client, RDS, "t")
    client.settle()
    client.publish(*service("a"), resource(LDS, "l"), resource(RDS, "t", "2"))
    client.settle()
    assert client.stream.wake_at() is not None
    if variant is Variant.SOTW:
        client.request(CDS, "a", nonce=client.stream.subscription(CDS).nonce)
    else:
        client.subscribe(CDS, drop=["b"])
    client.now = 1000.0
    assert client.pushes() == []
    assert client.stream.wake_at() is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_routes_do_not_wait_for_a_cluster_that_is_gone_again(variant: Variant) -> None:
    client = connected(variant, "a")
    client.publish(*service("a"), *service("brief"), resource(LDS, "l"), resource(RDS, "t", "2"))
    client.ack(client.push())
    assert client.pushes() == []
    client.publish(*service("a"), resource(LDS, "l"), resource(RDS, "t", "3"))
    assert client.push().type is RDS


@pytest.mark.parametrize("variant", [Variant.SOTW, Variant.DELTA])
def test_a_client_cannot_become_another_in_mid_stream(variant: Variant) -> None:
    client = Client(variant, role="sidecar")
    claimed = Node("gateway-1", metadata={"role": "gateway"})
    client.stream.receive(Request(CDS.value, claimed), client.now)
    assert (client.stream.node.id, client.stream.node.role) == ("n", Role.SIDECAR)


@pytest.mark.parametrize("variant", [Variant.SOTW, Variant.DELTA])
def test_an_acknowledgement_of_what_was_never_sent_counts_for_nothing(variant: Variant) -> None:
    client = Client(variant, *service("a"))
    client.request(CDS) if variant is Variant.SOTW else client.subscribe(CDS)
    push = client.push()
    for nonce in ("", "0", str(int(push.nonce) + 1), "\u0661", "x" * 1_000):
        client.stream.receive(Request(CDS.value, None, nonce, names=("*",), version=push.version), client.now)
        assert client.stream.subscription(CDS).acknowledged == -1
        assert client.stream.subscription(CDS).in_flight is push
    client.ack(push)
    assert client.stream.subscription(CDS).acknowledged == 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("role", "counts"), [("sidecar", True), ("gateway", False)])
def test_a_sidecar_that_asks_for_nothing_but_filters_serves_when_it_has_them(
    variant: Variant, role: str, counts: bool
) -> None:
    filters = ResourceType.EXTENSION
    client = Client(variant, resource(filters, "deny"), *service("a"), resource(RDS, "t"), role=role)
    assert client.stream.acknowledged(frozenset()) == -1
    (client.request if variant is Variant.SOTW else client.subscribe)(filters, "deny")
    push = client.push()
    assert client.stream.acknowledged(frozenset()) == -1
    client.ack(push)
    assert client.stream.acknowledged(frozenset()) == (client.generation if counts else -1)
    client.publish(resource(filters, "deny", "2"))
    assert client.stream.acknowledged(frozenset()) < client.generation
    client.settle()
    assert client.stream.acknowledged(frozenset()) == (client.generation if counts else -1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_filters_that_are_asked_for_beside_the_rest_are_waited_for_as_well(variant: Variant) -> None:
    client = connected(variant, "a")
    filters = ResourceType.EXTENSION
    rest = (*service("a"), resource(LDS, "l"), resource(RDS, "t"))
    (client.request if variant is Variant.SOTW else client.subscribe)(filters, "deny")
    client.settle()
    generation = client.publish(resource(filters, "deny"), *rest)
    assert client.stream.acknowledged(TABLE) < generation
    client.settle()
    assert client.stream.acknowledged(TABLE) == generation
