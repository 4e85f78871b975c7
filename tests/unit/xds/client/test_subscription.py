"""The client's side of the xDS protocol, rule by rule (envoyproxy/envoy: xds_protocol.rst)."""

from __future__ import annotations

import pytest

from eventmesh.xds.client.messages import Request, Resource, Response
from eventmesh.xds.client.subscription import MAX_REASONS, DeltaSubscription, SotwSubscription, subscription
from eventmesh.xds.resource_types import ResourceType

CDS, EDS = ResourceType.CLUSTER, ResourceType.ENDPOINT
NOTHING: frozenset[str] = frozenset()


def _response(
    kind: ResourceType, nonce: str, *names: str, version: str = "1", removed: tuple[str, ...] = ()
) -> Response:
    resources = tuple(Resource(name, version, kind.value, b"") for name in names)
    return Response(kind, nonce, version, resources, removed)


@pytest.mark.parametrize("delta", [True, False])
def test_a_wildcard_opens_with_no_names(delta: bool) -> None:
    assert subscription(CDS, delta=delta, wildcard=True).open() == Request(CDS)


@pytest.mark.parametrize("delta", [True, False])
def test_a_named_type_says_nothing_until_something_is_wanted(delta: bool) -> None:
    made = subscription(EDS, delta=delta, wildcard=False)
    assert made.open() is None
    assert made.want(NOTHING) is None
    request = made.want(frozenset({"b", "a"}))
    assert request is not None
    assert (request.subscribe or request.names) == ("a", "b")


@pytest.mark.parametrize("delta", [True, False])
def test_an_ack_names_the_nonce_and_no_error(delta: bool) -> None:
    made = subscription(CDS, delta=delta, wildcard=True)
    made.open()
    response = _response(CDS, "n1", "a")
    made.receive(response, NOTHING)
    ack = made.settle(response, {})
    assert ack is not None
    assert (ack.nonce, ack.error) == ("n1", "")


class TestDelta:
    def test_wants_are_said_as_increments(self) -> None:
        made = DeltaSubscription(EDS, wildcard=False)
        made.want(frozenset({"a", "b"}))
        assert made.want(frozenset({"b", "c"})) == Request(EDS, subscribe=("c",), unsubscribe=("a",))
        assert made.want(frozenset({"b", "c"})) is None

    def test_a_new_stream_names_what_is_held_with_its_versions(self) -> None:
        made = DeltaSubscription(EDS, wildcard=False)
        made.want(frozenset({"a", "b"}))
        made.settle(_response(EDS, "1", "a", version="7"), {})
        assert made.open() == Request(EDS, subscribe=("a", "b"), initial_versions={"a": "7"})

    def test_a_refused_resource_keeps_the_version_in_force(self) -> None:
        made = DeltaSubscription(CDS, wildcard=True)
        made.open()
        made.settle(_response(CDS, "1", "a", "b", version="1"), {})
        nack = made.settle(_response(CDS, "2", "a", "b", version="2"), {"b": "bad"})
        assert nack == Request(CDS, nonce="2", error="b: bad")
        again = made.open()
        assert again is not None
        assert again.initial_versions == {"a": "2", "b": "1"}

    def test_a_removed_or_unwanted_resource_is_no_longer_held(self) -> None:
        made = DeltaSubscription(EDS, wildcard=False)
        made.want(frozenset({"a", "b", "c"}))
        made.settle(_response(EDS, "1", "a", "b", "c"), {})
        made.settle(_response(EDS, "2", removed=("a",)), {})
        made.want(frozenset({"a", "c"}))
        again = made.open()
        assert again is not None
        assert again.initial_versions == {"c": "1"}

    def test_what_crosses_an_unsubscription_is_left_aside(self) -> None:
        made = DeltaSubscription(EDS, wildcard=False)
        made.want(frozenset({"a"}))
        changes = made.receive(_response(EDS, "1", "a", "old"), NOTHING)
        assert [resource.name for resource in changes.resources] == ["a"]


class TestSotw:
    def test_every_request_names_everything_and_the_last_good_version(self) -> None:
        made = SotwSubscription(EDS, wildcard=False)
        made.want(frozenset({"a"}))
        first = _response(EDS, "n1", "a", version="1")
        made.receive(first, NOTHING)
        assert made.settle(first, {}) == Request(EDS, nonce="n1", names=("a",), version="1")
        second = _response(EDS, "n2", "a", version="2")
        made.receive(second, NOTHING)
        assert made.settle(second, {"a": "bad"}) == Request(EDS, nonce="n2", error="a: bad", names=("a",), version="1")

    def test_names_wait_for_the_answer_they_would_be_taken_for(self) -> None:
        made = SotwSubscription(EDS, wildcard=False)
        made.want(frozenset({"a"}))
        response = _response(EDS, "n1", "a")
        made.receive(response, NOTHING)
        assert made.want(frozenset({"a", "b"})) is None
        assert made.settle(response, {}) == Request(EDS, nonce="n1", names=("a", "b"), version="1")

    def test_the_answer_to_an_earlier_response_is_not_sent(self) -> None:
        made = SotwSubscription(CDS, wildcard=True)
        made.open()
        first, second = _response(CDS, "n1", "a"), _response(CDS, "n2", "a", version="2")
        made.receive(first, NOTHING)
        made.receive(second, NOTHING)
        assert made.settle(first, {}) is None
        assert made.settle(second, {}) == Request(CDS, nonce="n2", version="2")

    def test_what_a_cluster_response_leaves_out_is_gone(self) -> None:
        made = SotwSubscription(CDS, wildcard=True)
        made.open()
        changes = made.receive(_response(CDS, "n1", "a", "c"), frozenset({"a", "b"}))
        assert changes.removed == ("b",)

    def test_what_an_endpoint_response_leaves_out_stays(self) -> None:
        made = SotwSubscription(EDS, wildcard=False)
        made.want(frozenset({"a", "b"}))
        assert made.receive(_response(EDS, "n1", "a"), frozenset({"a", "b"})).removed == ()

    def test_a_new_stream_keeps_the_version_and_forgets_the_nonce(self) -> None:
        made = SotwSubscription(CDS, wildcard=True)
        made.open()
        response = _response(CDS, "n1", "a", version="9")
        made.receive(response, NOTHING)
        made.settle(response, {})
        assert made.open() == Request(CDS, version="9")

    def test_wanting_nothing_any_more_is_said(self) -> None:
        made = SotwSubscription(EDS, wildcard=False)
        made.want(frozenset({"a"}))
        assert made.want(NOTHING) == Request(EDS)


def test_a_nack_gives_each_reason_once_and_only_so_many() -> None:
    made = DeltaSubscription(CDS, wildcard=True)
    nack = made.settle(_response(CDS, "1"), {"a": "taken", "b": "taken"})
    assert nack is not None
    assert nack.error == "a, b: taken"
    nack = made.settle(_response(CDS, "1"), {f"c{n}": f"why {n}" for n in range(MAX_REASONS + 2)})
    assert nack is not None
    assert nack.error.endswith("; and 2 more reasons")
