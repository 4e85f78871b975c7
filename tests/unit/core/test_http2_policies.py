"""Routes, retries, limits and edits over HTTP/2, from the caller to the endpoint. Virtual time."""

from __future__ import annotations

from eventmesh.model.match import HeaderMatch, PathKind, RouteMatch, TextKind
from eventmesh.model.policy import RetryOn, RetryPolicy
from eventmesh.model.route import DirectResponse, Forward, HeaderEdits, Route, WeightedCluster
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.http2_world import World, cluster
from tests.unit.core.test_retries import LONGEST_WAIT_S, flags


def choosing(match: RouteMatch) -> World:
    """Return a world where what `match` takes is answered 221, and all else 211."""
    return World(cluster(), routes=(Route(match, DirectResponse(221)), Route(RouteMatch(), DirectResponse(211))))


def test_a_header_chooses_the_route() -> None:
    world = choosing(RouteMatch(headers=(HeaderMatch("stage", TextKind.EXACT, "blue"),)))
    asked = [world.asks(stage="blue"), world.asks(stage="bluer"), world.asks()]
    assert [world.status(stream) for stream in asked] == [221, 211, 211]


def test_a_path_chooses_the_route() -> None:
    world = choosing(RouteMatch("/open", PathKind.EXACT))
    asked = [world.asks("/open"), world.asks("/open?q"), world.asks("/open/")]
    assert [world.status(stream) for stream in asked] == [221, 221, 211]


def test_an_expression_chooses_the_route_by_path() -> None:
    world = choosing(RouteMatch("/items/[0-9]+", PathKind.REGEX))
    asked = [world.asks("/items/7?q"), world.asks("/items/seven")]
    assert [world.status(stream) for stream in asked] == [221, 211]


def test_an_expression_chooses_the_route_by_header() -> None:
    world = choosing(RouteMatch(headers=(HeaderMatch("stage", TextKind.REGEX, "canary-[0-9]"),)))
    asked = [world.asks(stage="canary-1"), world.asks(stage="canary-")]
    assert [world.status(stream) for stream in asked] == [221, 211]


def retrying(policy: RetryPolicy) -> tuple[Route, ...]:
    return (Route(RouteMatch(), Forward((WeightedCluster("up"),), timeout_s=15.0, retry=policy)),)


def test_weights_share_the_requests_out() -> None:
    split = Forward((WeightedCluster("one", 70), WeightedCluster("two", 30)))
    world = World(cluster("one", "one:1"), cluster("two", "two:1"), routes=(Route(RouteMatch(), split),))
    assert 40 <= world.one_at_a_time(200).count("two:1") <= 80


def test_a_try_that_takes_too_long_is_made_again_and_the_first_is_given_up() -> None:
    world = World(cluster(), routes=retrying(RetryPolicy((RetryOn.SERVER_ERROR,), per_try_timeout_s=1.0)))
    stream = world.asks()
    (first,) = world.asked()
    world.mesh.passes(1.0 + LONGEST_WAIT_S)
    second = world.asked()[-1]
    assert second != first and world.servers[first[0]].streams[first[1]].reset is not None
    world.answers(second)
    assert world.status(stream) == 200


def test_retries_under_way_are_bounded_by_the_cluster() -> None:
    world = World(cluster(max_retries=1), routes=retrying(RetryPolicy((RetryOn.SERVER_ERROR,))))
    streams = [world.asks(), world.asks()]
    for one in world.asked():
        world.answers(one, 503)
    assert [world.status(stream) for stream in streams] == [0, 503] and flags(world.mesh) == ["UO"]
    world.mesh.passes(LONGEST_WAIT_S)
    (again,) = world.asked()
    world.answers(again)
    assert world.status(streams[0]) == 200


def test_requests_beyond_the_limit_are_refused_at_once() -> None:
    world = World(cluster(max_requests=1))
    streams = [world.asks(), world.asks()]
    assert [world.status(stream) for stream in streams] == [0, 503] and flags(world.mesh) == ["UO"]


def test_streams_beyond_what_the_connections_carry_wait_within_a_limit() -> None:
    world = World(cluster(max_connections=1, max_pending=1))
    streams = [world.asks()]
    fresh = world.mesh.dialled()
    server = Http2Peer(fresh, is_client=False, settings={3: 1})
    world.servers[fresh.address] = server
    streams += [world.asks(), world.asks()]
    assert [world.status(stream) for stream in streams] == [0, 0, 503] and not world.mesh.dials
    for _ in range(2):
        (one,) = world.asked()
        world.answers(one)
    assert [world.status(stream) for stream in streams] == [200, 200, 503]


def test_header_fields_are_edited_both_ways() -> None:
    action = Forward((WeightedCluster("up"),))
    edits = HeaderEdits(set=(("x-by", "mesh"),), remove=("x-secret",))
    world = World(cluster(), routes=(Route(RouteMatch(), action, request_headers=edits, response_headers=edits),))
    stream = world.asks("/a", **{"x-secret": "1"})
    (one,) = world.asked()
    heard = world.servers[one[0]].streams[one[1]].head
    assert heard["x-by"] == "mesh" and "x-secret" not in heard
    world.answered.add(one)
    world.servers[one[0]].respond(one[1], fields=(("x-secret", "2"),), body=b"answer")
    world.caller.exchange()
    answer = world.caller.streams[stream].head
    assert answer["x-by"] == "mesh" and "x-secret" not in answer
