"""The policies over HTTP/2, from the caller to the endpoint. Virtual time."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from eventmesh.model.cluster import Balancing, Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import HeaderMatch, PathKind, RouteMatch, TextKind
from eventmesh.model.policy import RetryOn, RetryPolicy, Subsets
from eventmesh.model.route import DirectResponse, Forward, HeaderEdits, Route, WeightedCluster
from eventmesh.model.tracing import Tracing
from tests.otlp import SERVER
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Playbook, forward, snapshot
from tests.unit.core.test_retries import LONGEST_WAIT_S, counters, flags
from tests.unit.core.test_tap import rows, terms
from tests.unit.core.test_tracing import EVERYTHING, PARENT, TRACE, spans

MANY = tuple(f"10.0.0.{number}:1" for number in range(1, 6))


def cluster(name: str = "up", *addresses: str, **terms: object) -> Cluster:
    endpoints = tuple(map(Endpoint, addresses or MANY[:1]))
    return Cluster(name, endpoints, protocol=WireProtocol.HTTP2, **terms)  # type: ignore[arg-type]


class World:
    """A mesh, a caller, and whatever servers it dials."""

    def __init__(self, *clusters: Cluster, routes: Sequence[Route] = (), tracing: Tracing | None = None) -> None:
        listener = Listener("in", "", "t", WireProtocol.HTTP2, access_log="log", tracing=tracing)
        chosen = tuple(routes) or (forward(clusters[0].name),)
        config = snapshot(routes=chosen, listener=listener)
        self.mesh = Playbook(dataclasses.replace(config, clusters=clusters))
        self.caller = Http2Peer(self.mesh.connect(), is_client=True)
        self.servers: dict[str, Http2Peer] = {}
        self.answered: set[tuple[str, int]] = set()

    def asks(self, path: str = "/", **fields: str) -> int:
        """Send a request; return its stream."""
        return self.caller.request(path, fields=tuple(fields.items()), body=b"")

    def asked(self) -> list[tuple[str, int]]:
        """Return who has been asked what and not answered yet: address and stream."""
        while self.mesh.dials:
            fresh = self.mesh.dialled()
            self.servers[fresh.address] = Http2Peer(fresh, is_client=False)
        for server in self.servers.values():
            server.exchange()
        streams = [(address, number) for address, server in self.servers.items() for number in server.streams]
        return [one for one in streams if one not in self.answered]

    def answers(self, one: tuple[str, int], status: int = 200) -> None:
        """Answer a request, and let the caller hear it."""
        self.answered.add(one)
        self.servers[one[0]].respond(one[1], status, body=b"answer")
        self.caller.exchange()

    def one_at_a_time(self, count: int, path: str = "/", **fields: str) -> list[str]:
        """Send requests one after the other, each answered; return who was asked."""
        found = []
        for _ in range(count):
            stream = self.asks(path, **fields)
            (one,) = self.asked()
            self.answers(one)
            assert self.status(stream) == 200
            found.append(one[0])
        return found

    def status(self, stream: int) -> int:
        """Return what a request has been answered, or 0."""
        self.caller.exchange()
        heard = self.caller.streams.get(stream)
        return int(heard.head[":status"]) if heard and heard.head else 0


def retrying(policy: RetryPolicy) -> tuple[Route, ...]:
    return (Route(RouteMatch(), Forward((WeightedCluster("up"),), timeout_s=15.0, retry=policy)),)


def test_a_header_a_path_and_an_expression_choose_the_route() -> None:
    routes = (
        Route(RouteMatch("/items/[0-9]+", PathKind.REGEX), DirectResponse(221)),
        Route(RouteMatch(headers=(HeaderMatch("stage", TextKind.REGEX, "canary-[0-9]"),)), DirectResponse(222)),
        Route(RouteMatch(headers=(HeaderMatch("stage", TextKind.EXACT, "blue"),)), DirectResponse(223)),
        Route(RouteMatch("/open", PathKind.EXACT), DirectResponse(224)),
        Route(RouteMatch(), DirectResponse(211)),
    )
    world = World(cluster(), routes=routes)
    asked = [
        world.asks("/items/7?q"),
        world.asks(stage="canary-1"),
        world.asks(stage="blue"),
        world.asks("/open"),
        world.asks("/open/", stage="canary-"),
    ]
    assert [world.status(stream) for stream in asked] == [221, 222, 223, 224, 211]


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


def test_endpoints_take_turns_or_are_drawn() -> None:
    turns = World(cluster("up", *MANY[:3], balancing=Balancing.ROUND_ROBIN)).one_at_a_time(9)
    assert turns[:3] == turns[3:6] == turns[6:] and set(turns) == set(MANY[:3])
    counted = Counter(World(cluster("up", *MANY, balancing=Balancing.RANDOM)).one_at_a_time(200))
    assert set(counted) == set(MANY) and max(counted.values()) < 80


def test_of_two_endpoints_the_less_loaded_gets_the_request() -> None:
    world = World(cluster("up", *MANY[:2], balancing=Balancing.LEAST_REQUEST))
    for _ in range(40):
        world.asks()
    assert abs(Counter(address for address, _ in world.asked())[MANY[0]] - 20) <= 2


def test_in_a_panic_all_endpoints_get_requests() -> None:
    endpoints = (Endpoint(MANY[0], healthy=False), Endpoint(MANY[1]))
    for percent, expected in ((60, set(MANY[:2])), (50, {MANY[1]})):
        world = World(dataclasses.replace(cluster(panic_percent=percent), endpoints=endpoints))
        assert set(world.one_at_a_time(6)) == expected
        assert counters(world.mesh)["lb_healthy_panic"] == (6 if percent == 60 else 0)


def test_the_next_priority_takes_what_the_first_cannot() -> None:
    endpoints = (Endpoint(MANY[0], healthy=False), Endpoint(MANY[1], priority=1))
    assert set(World(dataclasses.replace(cluster(), endpoints=endpoints)).one_at_a_time(4)) == {MANY[1]}


def test_localities_share_by_their_weights() -> None:
    near = (Endpoint(MANY[0], locality="near", locality_weight=9),)
    far = tuple(Endpoint(address, locality="far", locality_weight=1) for address in MANY[1:])
    world = World(dataclasses.replace(cluster(locality_weighted=True), endpoints=near + far))
    counted = Counter(world.one_at_a_time(400))
    assert abs(counted[MANY[0]] - 360) < 25 and len(counted) == 5


def test_a_subset_is_chosen_by_metadata() -> None:
    endpoints = tuple(
        Endpoint(address, metadata=(("stage", name),)) for address, name in zip(MANY, "abcde", strict=True)
    )
    subsets = dataclasses.replace(cluster(), endpoints=endpoints, subsets=Subsets((("stage",),)))
    action = Forward((WeightedCluster("up", subset=(("stage", "c"),)),))
    assert set(World(subsets, routes=(Route(RouteMatch(), action),)).one_at_a_time(6)) == {MANY[2]}


def test_every_request_is_counted_and_logged() -> None:
    world = World(cluster())
    world.one_at_a_time(1, "/a")
    world.asks("/b")
    (one,) = world.asked()
    world.answers(one, 500)
    ((_, lines),) = world.mesh.engine.take_access_log()
    ok, failed = lines.decode().splitlines()
    assert '"GET /a HTTP/2" 200 - 0 6 ' in ok and '"GET /b HTTP/2" 500 - 0 6 ' in failed
    assert counters(world.mesh)["upstream_rq_total"] == 2


def test_a_request_is_a_span_of_the_trace_that_it_names_and_is_seen_by_the_tap() -> None:
    world = World(cluster(), tracing=EVERYTHING)
    world.mesh.engine.tap(terms())
    world.one_at_a_time(1, "/a", traceparent=f"00-{TRACE}-{PARENT}-01")
    (span,), (row,) = spans(world.mesh), rows(world.mesh)
    assert (span.trace, span.parent, span.kind) == (TRACE, PARENT, SERVER)
    assert (row["path"], row["status"], row["upstream"]) == ("/a", 200, MANY[0])


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
