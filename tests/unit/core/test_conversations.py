"""Requests that a handler of the process answers while they come. Virtual time; `h2` is the client."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hyperframe.frame import GoAwayFrame, PingFrame

from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Converse, Route
from tests.unit.core.http2_peer import Http2Peer, frames
from tests.unit.core.playbook import Peer, Playbook, snapshot

IN = Listener("in", "127.0.0.1:0", "t", WireProtocol.HTTP2)
ROUTE = Route(RouteMatch("/"), Converse("talk"), name="talk")
WINDOW = 65_535
"""Of a client that sets none (RFC 9113 6.9.2)."""
OURS = 262_144
"""What a client may send us on one stream before it must wait (`http2/limits.rs`)."""
STREAM_WINDOW = 4
"""SETTINGS_INITIAL_WINDOW_SIZE."""


def talking(listener: Listener = IN) -> Playbook:
    return Playbook(snapshot(routes=(ROUTE,), listener=listener))


def begun(mesh: Playbook) -> tuple[int, Http2Peer]:
    """Return the number of a conversation on a connection of its own, its request not ended."""
    client = Http2Peer(mesh.connect(), is_client=True)
    client.request("/s/m", method="POST", fields=[("content-type", "application/grpc")])
    return list(mesh.conversing)[-1], client


def test_a_conversation_goes_on_both_ways_until_its_trailers() -> None:
    mesh = talking()
    number, client = begun(mesh)
    name, request = mesh.conversing[number]
    assert (name, request.path, request.peer, request.peer_names) == ("talk", "/s/m", "10.9.9.9:5", [])
    mesh.begin_answer(number, 200, [("content-type", "application/grpc")])
    client.data(1, b"one")
    assert mesh.feed(number, b"uno")
    client.data(1, b"two", end=True)
    assert mesh.feed(number, b"dos")
    client.exchange()
    assert (mesh.pieces[number], client.streams[1].body, mesh.ended) == (b"onetwo", b"unodos", [number])
    mesh.finish_answer(number, [("grpc-status", "0")])
    client.exchange()
    assert client.streams[1].head[":status"] == "200" and client.streams[1].trailers == {"grpc-status": "0"}
    assert client.streams[1].ended and not mesh.gone and mesh.engine.active() == 0


def test_a_request_that_is_whole_at_once_has_ended_at_once() -> None:
    mesh = talking()
    client = Http2Peer(mesh.connect(), is_client=True)
    client.request("/s/m", body=b"")
    assert mesh.ended == list(mesh.conversing)


def test_an_answer_may_end_before_its_request() -> None:
    mesh = talking()
    number, client = begun(mesh)
    mesh.begin_answer(number)
    mesh.finish_answer(number, [("grpc-status", "8")])
    client.exchange()
    assert client.streams[1].trailers == {"grpc-status": "8"} and client.streams[1].reset == 0
    client.request("/s/next", body=b"")
    assert len(mesh.conversing) == 2


def test_credit_comes_back_as_the_handler_takes_what_it_was_told() -> None:
    mesh = talking()
    number, client = begun(mesh)
    for _ in range(OURS // 16_384):
        client.data(1, bytes(16_384))
    assert client.h2.local_flow_control_window(1) == 0 and len(mesh.pieces[number]) == OURS
    mesh.took(number, OURS)
    client.exchange()
    assert client.h2.local_flow_control_window(1) == OURS


def test_what_the_client_does_not_read_stalls_its_own_stream_alone() -> None:
    mesh = talking()
    client = Http2Peer(mesh.connect(), is_client=True, settings={STREAM_WINDOW: 10})
    client.request("/slow", method="POST")
    client.request("/quick", method="POST")
    slow, quick = mesh.conversing
    mesh.begin_answer(slow)
    mesh.begin_answer(quick)
    assert not mesh.feed(slow, bytes(100))
    assert mesh.feed(quick, b"short")
    client.exchange()
    assert (len(client.streams[1].body), client.streams[3].body) == (10, b"short")
    client.h2.increment_flow_control_window(80, 1)
    client.exchange()
    assert mesh.rooms == [], "ten bytes still wait"
    client.h2.increment_flow_control_window(10, 1)
    client.exchange()
    assert mesh.rooms == [slow] and len(client.streams[1].body) == 100


def test_an_answer_waits_for_the_transport() -> None:
    mesh = talking()
    number, client = begun(mesh)
    mesh.begin_answer(number)
    client.peer.is_writable(False)
    assert not mesh.feed(number, b""), "asked, the transport is full"
    client.peer.is_writable(True)
    assert mesh.rooms == [number] and mesh.feed(number, b"")


@pytest.mark.parametrize("how", ["reset", "vanished", "cut short"])
def test_a_client_that_goes_is_told_to_the_handler_once(how: str) -> None:
    mesh = talking()
    number, client = begun(mesh)
    mesh.begin_answer(number)
    if how == "reset":
        client.reset(1, 8)
    elif how == "vanished":
        client.peer.vanishes()
    else:
        client.peer.half_closes()
    assert mesh.gone == [number] and mesh.engine.active() == 0
    assert mesh.feed(number, b"late")
    mesh.finish_answer(number)
    mesh.took(number, 5)
    assert mesh.gone == [number]


def test_what_comes_and_goes_with_one_read_is_told_to_nobody() -> None:
    mesh = talking()
    client = Http2Peer(mesh.connect(), is_client=True)
    stream = client.h2.get_next_available_stream_id()
    client.h2.send_headers(stream, [(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", "/")])
    client.h2.send_data(stream, b"x")
    client.h2.reset_stream(stream, 8)
    client.exchange()
    assert (mesh.conversing, mesh.pieces, mesh.gone) == ({}, {}, [])


def test_who_is_hung_up_on_loses_the_connection_and_its_other_streams() -> None:
    mesh = talking()
    number, client = begun(mesh)
    client.request("/other", method="POST")
    other = list(mesh.conversing)[-1]
    mesh.hang_up(number)
    assert client.peer.events == ["abort"] and mesh.gone == [other]


def test_what_cannot_be_sent_is_said_and_nothing_has_begun() -> None:
    mesh = talking()
    number, client = begun(mesh)
    with pytest.raises(ValueError, match="header x-a: control character"):
        mesh.begin_answer(number, 200, [("x-a", "two\nlines")])
    with pytest.raises(ValueError, match="status: 100 is not that of a final response"):
        mesh.begin_answer(number, 100)
    mesh.begin_answer(number, 200)
    with pytest.raises(ValueError, match="header name"):
        mesh.finish_answer(number, [("not a name", "")])
    mesh.finish_answer(number, [("grpc-status", "0")])
    client.exchange()
    assert client.streams[1].trailers == {"grpc-status": "0"}


def test_http1_is_answered_in_chunks() -> None:
    mesh = talking(replace(IN, protocol=WireProtocol.AUTO))
    client = mesh.connect()
    client.says(b"POST /s HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
    (number,) = mesh.conversing
    mesh.begin_answer(number)
    mesh.feed(number, b"uno")
    assert client.takes().endswith(b"3\r\nuno\r\n")
    client.says(b"0\r\n\r\n")
    assert mesh.ended == [number] and mesh.pieces[number] == b"one"
    mesh.finish_answer(number)
    client.hears(b"0\r\n\r\n")


def test_this_process_cannot_converse_with_itself() -> None:
    mesh = talking()
    done = mesh.done[mesh.send()]
    assert (done.status, mesh.conversing) == (501, {})


def test_a_drain_lets_conversations_end_and_takes_no_more_of_them() -> None:
    mesh = talking()
    number, client = begun(mesh)
    mesh.do(mesh.engine.drain(mesh.now))
    first = frames(client.peer.takes())
    assert [type(one) for one in first] == [GoAwayFrame, PingFrame] and mesh.engine.active() == 1
    assert isinstance(first[1], PingFrame)
    client.peer.says(PingFrame(0, first[1].opaque_data, flags=["ACK"]).serialize())
    mesh.begin_answer(number)
    mesh.finish_answer(number, [("grpc-status", "14")])
    assert mesh.engine.active() == 0 and "close" in client.peer.events


def quiet_listener(interval_s: float) -> Listener:
    return replace(IN, keepalive_interval_s=interval_s, keepalive_timeout_s=20.0)


def silence(peer: Peer, mesh: Playbook, seconds: float) -> list[object]:
    """Return the kinds of the frames that a client hears that says nothing for so long."""
    mesh.passes(seconds)
    return [type(one) for one in frames(peer.takes())]


def test_a_silent_client_is_asked_whether_it_lives_and_cut_when_it_does_not_say_so() -> None:
    mesh = talking(quiet_listener(30.0))
    number, client = begun(mesh)
    assert silence(client.peer, mesh, 29.0) == []
    assert silence(client.peer, mesh, 2.0) == [PingFrame]
    assert not mesh.gone
    mesh.passes(20.1)
    assert mesh.gone == [number] and client.peer.events == ["abort"]


def test_a_client_that_answers_is_left_alone() -> None:
    mesh = talking(quiet_listener(30.0))
    _, client = begun(mesh)
    for _ in range(30):
        mesh.passes(10.0)
        client.exchange()
    assert not mesh.gone and not client.peer.events


def test_nobody_is_asked_where_no_interval_is_set() -> None:
    mesh = talking()
    _, client = begun(mesh)
    assert silence(client.peer, mesh, 7_200.0) == [] and not mesh.gone


@pytest.mark.parametrize(
    ("listener", "name"),
    [
        (replace(IN, keepalive_interval_s=-1.0), "keepalive_interval_s"),
        (replace(IN, keepalive_timeout_s=-1.0), "keepalive_timeout_s"),
    ],
)
def test_a_time_that_is_none_is_refused_by_its_name(listener: Listener, name: str) -> None:
    with pytest.raises(ValueError, match=rf"listeners.*{name}: -1 is not a duration"):
        talking(listener)
