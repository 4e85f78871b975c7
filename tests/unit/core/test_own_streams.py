"""Streams that begin in this process: `open_stream`, `feed`, `took`. Virtual time; `h2` is the server."""

from __future__ import annotations

import pytest
from hyperframe.frame import PingFrame

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import DirectResponse, Route, Serve
from tests.unit.core.http2_peer import Http2Peer, frames
from tests.unit.core.playbook import Playbook, snapshot

UP = Cluster("up", (Endpoint("10.0.0.1:80"),), protocol=WireProtocol.HTTP2)
WINDOW = 65_535
"""Of a server that sets none (RFC 9113 6.9.2)."""
OURS = 65_536
"""What a server may send us on one stream before it must wait, at first (`http2/limits.rs`)."""


def over_http2() -> tuple[Playbook, int, Http2Peer]:
    mesh = Playbook(snapshot(UP))
    stream = mesh.open_stream("/s")
    return mesh, stream, Http2Peer(mesh.dialled(), is_client=False)


def test_a_stream_goes_on_both_ways_until_its_trailers() -> None:
    mesh, stream, server = over_http2()
    assert server.streams[1].head[":path"] == "/s" and not server.streams[1].ended
    assert mesh.feed(stream, b"one")
    server.exchange()
    server.respond(1, fields=[("content-type", "application/grpc")], end=False)
    assert mesh.answered[stream] == (200, {"content-type": "application/grpc"})
    server.data(1, b"uno")
    mesh.feed(stream, b"two")
    server.exchange()
    server.data(1, b"dos")
    assert (server.streams[1].body, mesh.pieces[stream]) == (b"onetwo", b"unodos")
    mesh.feed(stream, b"", end=True)
    server.exchange()
    assert server.streams[1].ended and stream not in mesh.done
    server.trailers(1, [("grpc-status", "0")])
    ended = mesh.done[stream]
    assert (ended.status, ended.headers, ended.body, ended.error) == (200, [("grpc-status", "0")], b"", "")


def test_what_is_fed_before_there_is_a_connection_waits_for_it() -> None:
    mesh = Playbook(snapshot(UP))
    stream = mesh.open_stream()
    assert mesh.feed(stream, b"early")
    assert Http2Peer(mesh.dialled(), is_client=False).streams[1].body == b"early"


def test_a_server_that_ends_first_ends_the_stream() -> None:
    mesh, stream, server = over_http2()
    server.respond(1, fields=[("grpc-status", "12")])
    assert mesh.answered[stream][1]["grpc-status"] == "12"
    assert (mesh.done[stream].error, server.streams[1].reset) == ("", 8)
    assert mesh.feed(stream, b"late")


def test_the_feeder_is_told_to_wait_beyond_the_servers_window_and_when_to_go_on() -> None:
    mesh, stream, server = over_http2()
    assert mesh.feed(stream, b"x" * WINDOW)
    assert not mesh.feed(stream, b"x" * (65_536 + 1))
    server.exchange()
    assert (len(server.streams[1].body), mesh.rooms) == (WINDOW, [])
    server.h2.increment_flow_control_window(2**20)
    server.h2.increment_flow_control_window(2**20, stream_id=1)
    server.exchange()
    assert (len(server.streams[1].body), mesh.rooms) == (WINDOW + 65_537, [stream])
    assert mesh.feed(stream, b"x")


def test_a_server_sends_no_more_than_its_window_until_the_bytes_are_taken() -> None:
    mesh, stream, server = over_http2()
    server.respond(1, end=False)
    while window := min(server.h2.local_flow_control_window(1), 16_384):
        server.data(1, b"x" * window)
    assert len(mesh.pieces[stream]) == OURS
    mesh.took(stream, OURS)
    server.exchange()
    assert server.h2.local_flow_control_window(1) == 2 * OURS, "who takes what comes is sent more at once"


def test_a_stream_over_http1_is_paused_until_its_bytes_are_taken() -> None:
    mesh = Playbook()
    stream = mesh.open_stream()
    upstream = mesh.dialled()
    mesh.feed(stream, b"abc", end=True)
    assert upstream.takes().endswith(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    upstream.says(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
    assert upstream.events == ["pause"]
    mesh.took(stream, 100_000)
    assert upstream.events == ["pause", "resume"]


@pytest.mark.parametrize("how", ["vanishes", "resets"])
def test_a_stream_that_breaks_off_says_so(how: str) -> None:
    mesh, stream, server = over_http2()
    server.respond(1, end=False)
    if how == "vanishes":
        server.peer.vanishes()
    else:
        server.reset(1, 2)
    assert mesh.done[stream].error == "reset"


def test_a_stream_that_finds_no_connection_says_why() -> None:
    mesh = Playbook(snapshot(UP))
    stream = mesh.open_stream()
    mesh.dials.pop().refuses()
    ended = mesh.done[stream]
    assert (ended.status, ended.error) == (503, "connect_failed")
    assert ended.body.endswith(b"connection failure")


def test_a_cancelled_stream_is_reset_and_no_more_is_heard_of_it() -> None:
    mesh, stream, server = over_http2()
    mesh.cancel(stream)
    server.exchange()
    assert (server.streams[1].reset, mesh.done) == (8, {})
    assert mesh.feed(stream, b"late")
    mesh.took(stream, 5)


KEPT = Cluster(
    "up",
    (Endpoint("10.0.0.1:80"),),
    protocol=WireProtocol.HTTP2,
    keepalive_interval_s=30.0,
    keepalive_timeout_s=5.0,
)


def test_a_silent_connection_in_use_is_asked_whether_it_lives() -> None:
    mesh = Playbook(snapshot(KEPT))
    stream = mesh.open_stream()
    server = Http2Peer(mesh.dialled(), is_client=False)
    server.respond(1, end=False)
    mesh.passes(30.0)  # it has spoken since
    assert server.peer.heard == b""
    for wait in (30.0, 35.0, 35.0):
        mesh.passes(wait)
        assert isinstance(frames(server.peer.heard)[0], PingFrame)
        server.exchange()  # the answer
    mesh.passes(5.0)
    assert stream not in mesh.done


def test_a_connection_that_does_not_say_that_it_lives_is_given_up() -> None:
    mesh = Playbook(snapshot(KEPT))
    stream = mesh.open_stream()
    server = Http2Peer(mesh.dialled(), is_client=False)
    mesh.passes(30.0 + 30.0 + 4.9)
    assert stream not in mesh.done
    mesh.passes(0.2)
    assert (mesh.done[stream].error, server.peer.events) == ("reset", ["abort"])


def test_an_idle_connection_is_left_in_peace() -> None:
    mesh = Playbook(snapshot(KEPT))
    mesh.cancel(mesh.open_stream())
    stream = mesh.open_stream()
    server = Http2Peer(mesh.dialled(), is_client=False)
    mesh.cancel(stream)
    server.exchange()
    mesh.passes(600.0)
    assert (server.peer.heard, server.peer.events) == (b"", [])


def test_open_streams_keep_nobody_from_draining() -> None:
    mesh, stream, server = over_http2()
    assert mesh.engine.active() == 0
    mesh.do(mesh.engine.drain(mesh.now))
    mesh.feed(stream, b"still")
    server.exchange()
    assert server.streams[1].body == b"still"
    mesh.cancel(stream)
    assert mesh.engine.active() == 0


def test_a_stream_may_end_in_a_handler_or_an_answer_of_this_process() -> None:
    mesh = Playbook(
        snapshot(
            routes=(
                Route(RouteMatch("/served"), Serve("h", max_body_bytes=4), name="served"),
                Route(RouteMatch("/"), DirectResponse(418, "no\n"), name="direct"),
            )
        )
    )
    served = mesh.open_stream("/served")
    mesh.feed(served, b"abcd", end=True)
    assert mesh.served[0][2].body == b"abcd"
    mesh.reply(mesh.served[0][0], 200, b"ok")
    assert (mesh.pieces[served], mesh.done[served].error) == (b"ok", "")
    direct = mesh.done[mesh.open_stream("/")]
    assert (direct.status, direct.body) == (418, b"no\n")


def test_a_stream_too_long_for_its_handler_is_refused() -> None:
    mesh = Playbook(snapshot(routes=(Route(RouteMatch("/"), Serve("h", max_body_bytes=4), name="served"),)))
    stream = mesh.open_stream()
    mesh.feed(stream, b"abcde")
    assert (mesh.done[stream].status, mesh.served) == (413, [])
