"""HTTP/2 through the engine: multiplexing, bridges to HTTP/1.1, ends of every kind."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Route
from tests.unit.core.http2_peer import Http2Peer, Stream, frames
from tests.unit.core.playbook import Playbook, forward, snapshot

UP = "10.0.0.1:80"
MAX_LEAVERS = 6
"""Connections that may leave one request behind (crates/core/src/limits.rs)."""
PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 1, 2, 7, 8
LAST_OF_ALL = 2**31 - 1


def cluster(protocol: WireProtocol = WireProtocol.HTTP2, **limits: int) -> Cluster:
    return Cluster("up", (Endpoint(UP),), protocol=protocol, **limits)  # type: ignore[arg-type]


def mesh_to(protocol: WireProtocol = WireProtocol.HTTP2, **limits: int) -> Playbook:
    return Playbook(snapshot(cluster(protocol, **limits)))


def client_of(mesh: Playbook) -> Http2Peer:
    return Http2Peer(mesh.connect(), is_client=True)


def upstream_of(mesh: Playbook, **settings: int) -> Http2Peer:
    codes = {"max_concurrent_streams": 3, "initial_window_size": 4}
    return Http2Peer(mesh.dialled(UP), is_client=False, settings={codes[name]: n for name, n in settings.items()})


def test_a_request_and_its_answer_pass_with_bodies_and_trailers() -> None:
    mesh = mesh_to()
    client = client_of(mesh)
    stream = client.request("/a?b", method="POST", fields=[("x-request-id", "1"), ("te", "trailers")])
    upstream = upstream_of(mesh)
    client.data(stream, b"question")
    client.trailers(stream, [("check", "1")])
    upstream.exchange()
    asked = upstream.streams[1]
    expected = {":method": "POST", ":scheme": "http", ":authority": "h", ":path": "/a?b"}
    assert asked.head == {**expected, "x-request-id": "1", "te": "trailers"}
    assert (asked.body, asked.trailers, asked.ended) == (b"question", {"check": "1"}, True)
    upstream.respond(1, 103, end=False)
    upstream.respond(1, 200, fields=[("server", "s")], body=b"answer", end=False)
    upstream.trailers(1, [("grpc-status", "0")])
    client.exchange()
    answer = client.streams[stream]
    assert answer.interim == ["103"]
    assert (answer.head, answer.body) == ({":status": "200", "server": "s"}, b"answer")
    assert (answer.trailers, answer.ended, answer.reset) == ({"grpc-status": "0"}, True, None)
    assert mesh.engine.active() == 0


def test_many_clients_share_one_upstream_connection() -> None:
    mesh = mesh_to()
    clients = [client_of(mesh) for _ in range(3)]
    streams = [(client, client.request(f"/{n}", body=b"")) for n in range(10) for client in clients]
    upstream = upstream_of(mesh)
    assert len(upstream.streams) == 30
    assert not mesh.dials
    for number, heard in reversed(list(upstream.streams.items())):
        upstream.respond(number, body=heard.head[":path"].encode())
    for client in clients:
        client.exchange()
    paths = [client.streams[stream].body.decode() for client, stream in streams]
    assert paths == [f"/{n}" for n in range(10) for _ in clients]


def two_clients_by_two_connections() -> tuple[Playbook, Http2Peer, Http2Peer, Http2Peer]:
    """Return two upstream connections, both with room, and the client whose last request went by the second of them."""
    mesh = mesh_to()
    clients = client_of(mesh), client_of(mesh)
    clients[0].request("/", body=b"")
    first = upstream_of(mesh, max_concurrent_streams=1)
    clients[1].request("/", body=b"")
    second = upstream_of(mesh, max_concurrent_streams=1)
    for upstream in first, second:
        upstream.exchange()
        upstream.respond(1)
    return mesh, first, second, clients[1]


def test_a_client_keeps_to_the_upstream_connection_of_its_last_request() -> None:
    _, first, second, client = two_clients_by_two_connections()
    client.request("/again", body=b"")
    first.exchange()
    second.exchange()
    assert (list(first.streams), list(second.streams)) == ([1], [1, 3])


@pytest.mark.parametrize("reason", ["full", "gone"])
def test_a_client_whose_upstream_connection_is_full_or_gone_takes_another(reason: str) -> None:
    mesh, first, second, client = two_clients_by_two_connections()
    if reason == "gone":
        second.peer.vanishes()
    else:
        client.request("/takes-the-only-place", body=b"")
    client.request("/again", body=b"")
    first.exchange()
    assert first.streams[3].head[":path"] == "/again"
    assert not mesh.dials


def test_http1_goes_up_as_http2_and_comes_back_chunked_with_trailers() -> None:
    mesh = mesh_to()
    client = mesh.connect()
    client.says(b"POST /x HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\n\r\n")
    upstream = upstream_of(mesh)
    client.says(b"2\r\nhi\r\n0\r\nsum: 7\r\n\r\n")
    upstream.exchange()
    asked = upstream.streams[1]
    assert asked.head[":method"] == "POST"
    assert asked.head["te"] == "trailers"
    assert not {"host", "connection", "transfer-encoding"} & asked.head.keys()
    assert (asked.body, asked.trailers, asked.ended) == (b"hi", {"sum": "7"}, True)
    upstream.respond(1, fields=[("server", "s")], body=b"yes", end=False)
    upstream.trailers(1, [("grpc-status", "0")])
    head = b"HTTP/1.1 200 OK\r\nserver: s\r\ntransfer-encoding: chunked\r\n\r\n"
    client.hears(head + b"3\r\nyes\r\n0\r\ngrpc-status: 0\r\n\r\n")


def test_http2_goes_down_as_http1_and_comes_back_with_its_length() -> None:
    mesh = mesh_to(WireProtocol.HTTP1)
    client = client_of(mesh)
    stream = client.request("/x", method="POST", fields=[("x-request-id", "1"), ("cookie", "a=1"), ("cookie", "b=2")])
    upstream = mesh.dialled(UP)
    client.data(stream, b"hi", end=True)
    head = b"POST /x HTTP/1.1\r\nhost: h\r\nx-request-id: 1\r\ncookie: a=1; b=2\r\ntransfer-encoding: chunked\r\n\r\n"
    upstream.hears(head + b"2\r\nhi\r\n0\r\n\r\n")
    upstream.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x-hop\r\nx-hop: 1\r\n\r\nok")
    client.exchange()
    answer = client.streams[stream]
    assert answer.head == {":status": "200", "content-length": "2"}
    assert (answer.body, answer.ended) == (b"ok", True)


def test_two_http2_streams_use_two_http1_connections() -> None:
    mesh = mesh_to(WireProtocol.HTTP1)
    client = client_of(mesh)
    streams = [client.request("/1", body=b""), client.request("/2", body=b"")]
    for body in (b"1", b"2"):
        mesh.dialled(UP).says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + body)
    client.exchange()
    assert [client.streams[stream].body for stream in streams] == [b"1", b"2"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], {":status": "404", "content-type": "text/plain"}),
        ([("content-type", "application/grpc")], {":status": "200", "grpc-status": "12"}),
    ],
)
def test_an_answer_of_the_mesh_speaks_the_callers_protocol(fields: list[tuple[str, str]], expected: object) -> None:
    mesh = Playbook(snapshot(cluster(), routes=(Route(RouteMatch("/known"), forward("up").action),)))
    client = client_of(mesh)
    stream = client.request("/other", method="POST", fields=fields, body=b"x")
    answer = client.streams[stream]
    assert isinstance(expected, dict)
    assert answer.head.items() >= expected.items()
    assert answer.ended


def test_a_timeout_answers_the_client_and_cancels_the_upstream() -> None:
    mesh = Playbook(snapshot(cluster(), routes=(forward("up", timeout_s=2),)))
    client = client_of(mesh)
    stream = client.request("/", method="POST", fields=[("content-type", "application/grpc")], body=b"x")
    upstream = upstream_of(mesh)
    mesh.passes(3)
    client.exchange()
    upstream.exchange()
    assert client.streams[stream].head["grpc-status"] == "4"
    assert upstream.streams[1].reset == CANCEL
    assert mesh.engine.active() == 0


def test_a_clients_reset_is_passed_on_and_the_connection_lives() -> None:
    mesh = mesh_to()
    client = client_of(mesh)
    stream, other = client.request("/1"), client.request("/2")
    upstream = upstream_of(mesh)
    client.reset(stream, CANCEL)
    upstream.exchange()
    assert upstream.streams[1].reset == CANCEL
    upstream.respond(3, body=b"fine")
    client.exchange()
    assert client.streams[other].body == b"fine"


def test_a_reset_before_the_answer_is_503_and_within_it_a_reset() -> None:
    mesh = mesh_to()
    client = client_of(mesh)
    before, within = client.request("/1", method="POST"), client.request("/2")
    upstream = upstream_of(mesh)
    upstream.respond(3, body=b"begun", end=False)
    for stream in (1, 3):
        upstream.reset(stream, INTERNAL_ERROR)
    client.exchange()
    assert client.streams[before].head[":status"] == "503"
    assert (client.streams[within].body, client.streams[within].reset) == (b"begun", INTERNAL_ERROR)


def test_a_lost_upstream_is_told_to_every_stream_on_it() -> None:
    mesh = mesh_to()
    client = client_of(mesh)
    streams = [client.request(f"/{n}", method="POST", body=b"x") for n in range(5)]
    mesh.dialled(UP).vanishes()
    client.exchange()
    assert {client.streams[stream].head[":status"] for stream in streams} == {"503"}
    assert mesh.engine.active() == 0


def test_requests_that_a_leaving_upstream_never_saw_go_to_a_new_connection() -> None:
    mesh = mesh_to()
    client = client_of(mesh)
    streams = [client.request(f"/{n}", body=b"") for n in range(2)]
    leaving = upstream_of(mesh)
    leaving.h2.close_connection(0, last_stream_id=1)
    leaving.peer.says(leaving.h2.data_to_send())
    follower = upstream_of(mesh)
    assert follower.streams[1].head[":path"] == "/1"
    follower.respond(1, body=b"after all")
    client.exchange()
    assert client.streams[streams[1]].body == b"after all"
    assert client.request("/3", body=b"") and len(follower.streams) == 1
    follower.exchange()
    assert follower.streams[3].head[":path"] == "/3"


def leaves_unseen(upstream: Http2Peer) -> None:
    """Say GOAWAY, having taken nothing."""
    upstream.h2.close_connection(0, last_stream_id=0)
    upstream.peer.says(upstream.h2.data_to_send())


def test_a_request_that_one_connection_after_the_other_leaves_behind_goes_on_until_one_takes_it() -> None:
    """As when nginx reloads: every connection of its worker says GOAWAY, and each takes the others' requests first."""
    mesh = mesh_to()
    client = client_of(mesh)
    stream = client.request("/", body=b"")
    for _ in range(MAX_LEAVERS):
        leaves_unseen(upstream_of(mesh))
    upstream_of(mesh).respond(1, body=b"after all")
    client.exchange()
    assert client.streams[stream].body == b"after all"


def test_a_request_that_was_left_behind_may_still_meet_a_stale_connection() -> None:
    mesh = mesh_to()
    client = client_of(mesh)
    first = client.request("/first", body=b"")
    leaving = upstream_of(mesh)
    stream = client.request("/", body=b"")
    leaving.exchange()
    leaving.h2.close_connection(0, last_stream_id=1)
    leaving.peer.says(leaving.h2.data_to_send())
    follower = upstream_of(mesh)
    third = client.request("/third", body=b"")
    follower.peer.vanishes()
    last = upstream_of(mesh)
    assert sorted(last.streams[number].head[":path"] for number in last.streams) == ["/", "/third"]
    for number in list(last.streams):
        last.respond(number, body=b"after all")
    client.exchange()
    assert (client.streams[stream].body, client.streams[third].body) == (b"after all", b"after all")
    assert first not in client.streams, "it is still awaited of the connection that leaves"


def test_an_endpoint_that_takes_nothing_is_not_asked_for_ever() -> None:
    mesh = mesh_to()
    client = client_of(mesh)
    stream = client.request("/", body=b"")
    for _ in range(MAX_LEAVERS + 1):
        leaves_unseen(upstream_of(mesh))
    client.exchange()
    assert client.streams[stream].head[":status"] == "503" and not mesh.dials


def test_a_refused_request_is_sent_once_more() -> None:
    mesh = mesh_to()
    client = client_of(mesh)
    stream = client.request("/", body=b"")
    upstream = upstream_of(mesh)
    upstream.reset(1, REFUSED_STREAM)
    upstream.respond(3, body=b"second try")
    client.exchange()
    assert client.streams[stream].body == b"second try"


def test_an_upstreams_limit_of_streams_makes_requests_wait_in_order() -> None:
    mesh = mesh_to(max_connections=1)
    client = client_of(mesh)
    first = client.request("/first", body=b"")
    upstream = upstream_of(mesh, max_concurrent_streams=1)
    waiting = client.request("/second", body=b"")
    upstream.exchange()
    assert len(upstream.streams) == 1
    upstream.respond(1)
    upstream.exchange()
    upstream.respond(3, body=b"at last")
    client.exchange()
    assert client.streams[first].ended
    assert client.streams[waiting].body == b"at last"


def test_a_body_waits_for_the_window_of_a_slow_reader() -> None:
    mesh = mesh_to(WireProtocol.HTTP1)
    client = client_of(mesh)
    stream = client.request("/", body=b"")
    upstream = mesh.dialled(UP)
    upstream.says(b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n")
    pieces = [bytes([n]) * 16_384 for n in range(64)]
    sent = 0
    for _ in range(64):
        while sent < len(pieces) and upstream.events[-1:] != ["pause"]:
            upstream.says(pieces[sent])
            sent += 1
        held = 16_384 * sent - len(client.streams.get(stream, Stream()).body)
        assert held < 262_144
        client.exchange()
        if client.streams[stream].ended:
            break
        for window in (None, stream):
            client.h2.increment_flow_control_window(65_535, window)
        client.exchange()
    assert client.streams[stream].body == b"".join(pieces)
    assert "resume" in upstream.events


def hears_goodbye(client: Http2Peer, last_stream: int) -> None:
    """Take the first GOAWAY and the PING behind it, answer that, and take the GOAWAY that names the last stream."""
    first, ping = frames(client.peer.takes())
    assert isinstance(first, GoAwayFrame)
    assert isinstance(ping, PingFrame)
    assert (first.last_stream_id, first.error_code) == (LAST_OF_ALL, 0)
    client.peer.says(PingFrame(0, ping.opaque_data, flags=["ACK"]).serialize())
    (second,) = frames(client.peer.takes())
    assert isinstance(second, GoAwayFrame)
    assert (second.last_stream_id, second.error_code) == (last_stream, 0)


def test_draining_tells_clients_twice_and_finishes_what_is_open() -> None:
    mesh = mesh_to()
    client = client_of(mesh)
    stream = client.request("/", body=b"")
    upstream = upstream_of(mesh)
    mesh.do(mesh.engine.drain(mesh.now))
    hears_goodbye(client, stream)
    assert not client.peer.events
    upstream.respond(1, body=b"done")
    head, body = frames(client.peer.takes())
    assert isinstance(head, HeadersFrame)
    assert isinstance(body, DataFrame)
    assert (body.data, set(body.flags), client.peer.events) == (b"done", {"END_STREAM"}, ["close"])


def test_an_idle_client_is_told_before_its_connection_closes() -> None:
    listener = Listener("in", "127.0.0.1:0", "t", protocol=WireProtocol.HTTP2, idle_timeout_s=10)
    mesh = Playbook(snapshot(cluster(), listener=listener))
    client = client_of(mesh)
    stream = client.request("/", body=b"")
    upstream_of(mesh).respond(1)
    client.exchange()
    mesh.passes(9)
    client.h2.ping(b"12345678")
    client.exchange()
    mesh.passes(1)
    hears_goodbye(client, stream)
    assert client.peer.events == ["close"]


def test_an_idle_client_that_does_not_answer_is_closed_all_the_same() -> None:
    listener = Listener("in", "127.0.0.1:0", "t", protocol=WireProtocol.HTTP2, idle_timeout_s=10)
    mesh = Playbook(snapshot(cluster(), listener=listener))
    client = client_of(mesh)
    mesh.passes(60)
    assert [type(frame) for frame in frames(client.peer.takes())] == [GoAwayFrame, PingFrame]
    mesh.passes(2)
    assert client.peer.events == ["close"]


def test_a_client_that_pings_and_does_not_read_is_no_longer_read_from() -> None:
    mesh = mesh_to()
    client = client_of(mesh)
    stream = client.request("/", method="POST")
    client.peer.is_writable(False)
    for _ in range(20_000):
        for _ in range(9):
            client.h2.ping(b"12345678")
        client.h2.send_data(stream, b"x")
        client.peer.says(client.h2.data_to_send())
        if client.peer.events:
            break
    assert client.peer.events == ["pause"]
    client.peer.takes()
    client.peer.is_writable(True)
    assert client.peer.events == ["pause", "resume"]


def test_garbage_ends_the_connection_and_its_exchanges() -> None:
    mesh = mesh_to()
    client = client_of(mesh)
    client.request("/")
    upstream = upstream_of(mesh)
    client.peer.says(b"\x00\x00\x05\x00\x00\x00\x00\x00\x00hello")
    upstream.exchange()
    assert upstream.streams[1].reset == CANCEL
    assert mesh.engine.active() == 0
    (goaway,) = frames(client.peer.takes())
    assert isinstance(goaway, GoAwayFrame)
    assert goaway.error_code == PROTOCOL_ERROR
    assert client.peer.events == ["shutdown"]
    mesh.passes(2)
    assert client.peer.events == ["shutdown", "close"]
