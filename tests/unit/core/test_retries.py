"""Retries by policy: what is tried again, when, where, with which bytes, and what puts an end to it. Virtual time."""

from __future__ import annotations

import json

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.policy import RetryBudget, RetryOn, RetryPolicy
from eventmesh.model.route import Forward, Route, WeightedCluster
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Peer, Playbook, snapshot
from tests.unit.core.requests import GET, OK, TWO, status
from tests.unit.core.test_bolt import error, id_of, request, response

FAILED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\nContent-Length: 3\r\n\r\nabc"
LONGEST_WAIT_S = 0.25


def retrying(policy: RetryPolicy, timeout_s: float = 15.0) -> tuple[Route, ...]:
    return (Route(RouteMatch(), Forward((WeightedCluster("up"),), timeout_s=timeout_s, retry=policy), name="all"),)


def mesh_with(policy: RetryPolicy, cluster: Cluster | None = None, timeout_s: float = 15.0) -> Playbook:
    cluster = cluster or Cluster("up", TWO[:1])
    listener = Listener("in", "", "t", access_log="log")
    return Playbook(snapshot(cluster, routes=retrying(policy, timeout_s), listener=listener))


def on(*words: RetryOn, **terms: object) -> RetryPolicy:
    return RetryPolicy(words, **terms)  # type: ignore[arg-type]


def counters(mesh: Playbook) -> dict[str, int]:
    """Return what is counted of the cluster, under Envoy's names without their prefix."""
    stats = json.loads(mesh.engine.stats())
    rows = [*stats["counters"], *stats["gauges"]]
    return {
        name.removeprefix("envoy_cluster_"): value for name, labels, value in rows if "envoy_cluster_name" in labels
    }


def flags(mesh: Playbook) -> list[str]:
    """Return the response flags of every exchange since the last look."""
    lines = b"".join(lines for _, lines in mesh.engine.take_access_log()).decode().splitlines()
    return [line.split('" ')[1].split()[1] for line in lines]


def again(mesh: Playbook, server: Peer) -> None:
    """Let the longest back-off pass; the server must have been asked once more."""
    server.takes()
    mesh.passes(LONGEST_WAIT_S)
    assert server.heard, mesh.dialogue()


def test_a_response_that_the_policy_names_is_asked_for_again() -> None:
    mesh = mesh_with(on(RetryOn.SERVER_ERROR, max_retries=2))
    client = mesh.connect()
    client.says(POST)
    server = mesh.dialled()
    asked = server.takes()
    for _ in range(2):
        server.says(FAILED)
        assert client.heard == b""
        mesh.passes(LONGEST_WAIT_S)
        server.hears(asked)
    server.says(OK)
    assert status(client) == 200 and flags(mesh) == ["-"]
    counted = counters(mesh)
    assert (counted["upstream_rq_retry"], counted["upstream_rq_retry_success"]) == (2, 1)
    assert counted["circuit_breakers_default_rq_retry_open"] == 0


def test_when_no_retry_is_left_the_failure_is_passed_on_and_flagged() -> None:
    mesh = mesh_with(on(RetryOn.GATEWAY_ERROR))
    client = mesh.connect()
    client.says(GET)
    server = mesh.dialled()
    server.says(FAILED)
    again(mesh, server)
    server.says(FAILED)
    assert status(client) == 503 and flags(mesh) == ["URX"]
    assert counters(mesh)["upstream_rq_retry_limit_exceeded"] == 1


def test_what_the_policy_does_not_name_is_passed_on_at_once() -> None:
    mesh = mesh_with(on(RetryOn.GATEWAY_ERROR))
    client = mesh.connect()
    client.says(GET)
    server = mesh.dialled()
    server.says(FAILED.replace(b"503", b"500"))
    assert status(client) == 500 and counters(mesh)["upstream_rq_retry"] == 0


def test_back_off_is_drawn_and_grows() -> None:
    waits: list[list[float]] = [[], []]
    for seed in range(30):
        mesh = Playbook(snapshot(routes=retrying(on(RetryOn.SERVER_ERROR, max_retries=2))), seed=seed)
        mesh.connect().says(GET)
        server = mesh.dialled()
        for number, most in enumerate((0.025, 0.075)):
            server.takes()
            server.says(FAILED)
            began = mesh.now
            while not server.heard:
                mesh.passes(0.001)
            waits[number].append(mesh.now - began)
            assert waits[number][-1] <= most + 0.002
    assert max(waits[0]) > 0.015 and max(waits[1]) > 0.045 and min(waits[0]) < 0.01


def test_a_policy_chooses_status_codes_of_its_own() -> None:
    mesh = mesh_with(on(RetryOn.RETRIABLE_STATUS_CODES, status_codes=(418,)))
    client = mesh.connect()
    client.says(GET)
    server = mesh.dialled()
    server.says(FAILED.replace(b"503", b"418"))
    again(mesh, server)
    server.says(OK)
    assert status(client) == 200


def test_a_connection_that_cannot_be_made_is_tried_as_often_as_the_policy_says() -> None:
    mesh = mesh_with(on(RetryOn.CONNECT_FAILURE, max_retries=3))
    client = mesh.connect()
    client.says(POST)
    for _ in range(3):
        mesh.dials.pop().refuses()
        assert not mesh.dials and client.heard == b""
        mesh.passes(LONGEST_WAIT_S)
    mesh.dials.pop().refuses()
    assert status(client) == 503 and not mesh.dials and flags(mesh) == ["UF,URX"]


def test_a_request_whose_endpoint_vanished_is_sent_again() -> None:
    mesh = mesh_with(on(RetryOn.RESET))
    client = mesh.connect()
    client.says(POST)
    first = mesh.dialled()
    asked = first.takes()
    first.vanishes()
    mesh.passes(LONGEST_WAIT_S)
    second = mesh.dialled()
    second.hears(asked)
    second.says(OK)
    assert status(client) == 200


def test_a_try_that_takes_too_long_is_made_again_within_the_whole_time() -> None:
    mesh = mesh_with(on(RetryOn.SERVER_ERROR, max_retries=9, per_try_timeout_s=1.0), timeout_s=3.0)
    client = mesh.connect()
    client.says(GET)
    began, tries = mesh.now, []
    while client.heard == b"":
        tries += [mesh.dialled() for _ in list(mesh.dials)]
        mesh.passes(0.01)
    assert status(client) == 504 and mesh.now - began == pytest.approx(3.0, abs=0.02) and flags(mesh) == ["UT"]
    assert len(tries) in (3, 4) and [peer.events for peer in tries] == [["abort"]] * len(tries)
    assert counters(mesh)["upstream_rq_per_try_timeout"] == len(tries) - 1


def test_a_try_that_has_begun_to_answer_is_not_given_up() -> None:
    mesh = mesh_with(on(RetryOn.RESET, per_try_timeout_s=1.0))
    client = mesh.connect()
    client.says(GET)
    server = mesh.dialled()
    server.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh")
    mesh.passes(5)
    server.says(b"i")
    assert client.takes().endswith(b"hi")


def test_nothing_is_tried_again_once_the_client_has_heard_of_it() -> None:
    mesh = mesh_with(on(RetryOn.RESET))
    client = mesh.connect()
    client.says(GET)
    server = mesh.dialled()
    server.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh")
    server.vanishes()
    mesh.passes(1)
    assert client.events == ["close"] and not mesh.dials


def test_a_request_longer_than_what_is_kept_is_sent_once() -> None:
    for size, expected in ((65_536, 200), (65_537, 503)):
        mesh = mesh_with(on(RetryOn.SERVER_ERROR))
        client = mesh.connect()
        client.says(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
        server = mesh.dialled()
        for at in range(0, size, 16_384):
            client.says(b"x" * min(16_384, size - at))
        server.says(FAILED)
        mesh.passes(LONGEST_WAIT_S)
        server.says(OK)
        assert status(client) == expected


def test_a_request_that_is_still_coming_is_sent_again_with_what_came_meanwhile() -> None:
    mesh = mesh_with(on(RetryOn.SERVER_ERROR))
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\nContent-Length: 6\r\n\r\nab")
    mesh.dialled().says(FAILED)
    client.says(b"cd")
    mesh.passes(LONGEST_WAIT_S)
    second = mesh.dialled()
    client.says(b"ef")
    assert second.takes().endswith(b"\r\n\r\nabcdef")
    second.says(OK)
    assert status(client) == 200


def test_endpoints_tried_before_are_passed_over_when_the_policy_says_so() -> None:
    three = tuple(Endpoint(f"10.0.0.{number}:80") for number in range(1, 4))
    mesh = mesh_with(on(RetryOn.SERVER_ERROR, max_retries=2, avoid_tried=True), Cluster("up", three))
    client = mesh.connect()
    client.says(GET)
    asked = []
    for _ in range(3):
        server = mesh.dialled()
        asked.append(server.address)
        server.says(FAILED)
        mesh.passes(LONGEST_WAIT_S)
    assert sorted(asked) == [endpoint.address for endpoint in three] and status(client) == 503


def test_retries_under_way_are_bounded_by_the_cluster() -> None:
    mesh = mesh_with(on(RetryOn.SERVER_ERROR), Cluster("up", TWO[:1], max_retries=1))
    clients = [mesh.connect() for _ in range(2)]
    for client in clients:
        client.says(GET)
    one, two = mesh.dialled(), mesh.dialled()
    one.says(FAILED)
    assert counters(mesh)["circuit_breakers_default_rq_retry_open"] == 1
    two.says(FAILED)
    assert [client.heard[:12] for client in clients] == [b"", b"HTTP/1.1 503"] and flags(mesh) == ["UO"]
    assert counters(mesh)["upstream_rq_retry_overflow"] == 1
    two.takes()
    mesh.passes(LONGEST_WAIT_S)
    two.says(OK)
    assert status(clients[0]) == 200 and counters(mesh)["circuit_breakers_default_rq_retry_open"] == 0


def test_a_retry_budget_is_a_share_of_what_is_in_flight() -> None:
    budget = Cluster("up", TWO[:1], max_retries=0, retry_budget=RetryBudget(percent=50, min_concurrency=1))
    mesh = mesh_with(on(RetryOn.SERVER_ERROR), budget)
    clients = [mesh.connect() for _ in range(8)]
    for client in clients:
        client.says(GET)
    servers = [mesh.dialled() for _ in clients]
    for server in servers:
        server.says(FAILED)
    # With 8, 7, 6... in flight 4, 3, 3... may be tried again: 3 are, when the fourth asks for half of 5.
    assert sum(client.heard != b"" for client in clients) == 5


def test_a_client_that_leaves_during_a_back_off_ends_it() -> None:
    mesh = mesh_with(on(RetryOn.SERVER_ERROR))
    client = mesh.connect()
    client.says(GET)
    server = mesh.dialled()
    server.says(FAILED)
    server.takes()
    client.vanishes()
    mesh.passes(1)
    assert server.heard == b"" and mesh.engine.active() == 0
    assert counters(mesh)["circuit_breakers_default_rq_retry_open"] == 0


def test_a_grpc_status_in_the_head_is_tried_again() -> None:
    cluster = Cluster("up", TWO[:1], protocol=WireProtocol.HTTP2)
    mesh = mesh_with(on(RetryOn.UNAVAILABLE), cluster)
    client = Http2Peer(mesh.connect(), is_client=True)
    grpc = (("content-type", "application/grpc"), ("te", "trailers"))
    stream = client.request("/s/m", method="POST", fields=grpc, body=b"\0\0\0\0\0")
    server = Http2Peer(mesh.dialled(), is_client=False)
    server.exchange()
    server.respond(1, fields=(("content-type", "application/grpc"), ("grpc-status", "14")))
    mesh.passes(LONGEST_WAIT_S)
    server.exchange()
    assert server.streams[3].body == b"\0\0\0\0\0"
    server.respond(3, fields=(("content-type", "application/grpc"),), end=False)
    server.trailers(3, (("grpc-status", "0"),))
    client.exchange()
    assert client.streams[stream].trailers == {"grpc-status": "0"}


def test_a_stream_the_endpoint_refused_is_tried_again() -> None:
    mesh = mesh_with(on(RetryOn.REFUSED_STREAM, max_retries=2), Cluster("up", TWO[:1], protocol=WireProtocol.HTTP2))
    client = mesh.connect()
    client.says(POST)
    server = Http2Peer(mesh.dialled(), is_client=False)
    for stream in (1, 3):
        server.exchange()
        server.reset(stream, 7)
        mesh.passes(LONGEST_WAIT_S)
    server.exchange()
    server.respond(5)
    assert status(client) == 200


def test_a_busy_bolt_server_is_asked_again() -> None:
    cluster = Cluster("up", TWO[:1], protocol=WireProtocol.BOLT)
    mesh = mesh_with(on(RetryOn.GATEWAY_ERROR), cluster)
    caller = mesh.connect()
    caller.says(request(9))
    server = mesh.dialled()
    first = server.takes()
    server.says(error(id_of(first), 4))
    mesh.passes(LONGEST_WAIT_S)
    second = server.takes()
    assert id_of(second) != id_of(first) and second == request(id_of(second))
    server.says(response(id_of(second)))
    caller.hears(response(9))


def test_an_own_exchange_follows_the_policy_of_its_route() -> None:
    mesh = mesh_with(on(RetryOn.SERVER_ERROR))
    exchange = mesh.send(body=b"x", method="POST")
    server = mesh.dialled()
    server.says(FAILED)
    again(mesh, server)
    server.says(OK)
    assert mesh.done[exchange].status == 200


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (on(max_retries=101), "max_retries"),
        (on(max_interval_s=0.01), "max_interval_s"),
        (on(per_try_timeout_s=-1.0), "per_try_timeout_s"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_field(policy: RetryPolicy, field: str) -> None:
    with pytest.raises(ValueError, match=f"retry.{field}"):
        mesh_with(policy)
