"""Connections that another process could go on to serve, and those that it could not. Virtual time."""

from __future__ import annotations

from hyperframe.frame import GoAwayFrame, PingFrame

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from tests.unit.core import test_bolt as bolt
from tests.unit.core.http2_peer import Http2Peer, frames
from tests.unit.core.playbook import Peer, Playbook, snapshot
from tests.unit.core.requests import GET, OK

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n"


def move_out(mesh: Playbook, peer: Peer) -> bool:
    moved, actions = mesh.engine.move_out(peer.conn)
    mesh.do(actions)
    return moved


def test_an_http1_connection_is_free_between_an_answer_and_the_next_request() -> None:
    mesh = Playbook()
    client = mesh.connect()
    said = [mesh.engine.standing(client.conn)]
    for piece in (POST[:9], POST[9:], b"ab", b"cd"):
        client.says(piece)
        said.append(mesh.engine.standing(client.conn))
    assert said == ["free", "busy", "busy", "busy", "whole"]
    assert not move_out(mesh, client)
    mesh.dialled().says(OK)
    assert client.takes().startswith(b"HTTP/1.1 200")
    assert mesh.engine.standing(client.conn) == "free"


def test_what_has_been_asked_behind_an_unanswered_request_keeps_the_connection() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET + GET[:5])
    upstream = mesh.dialled()
    assert mesh.engine.standing(client.conn) == "busy"
    upstream.says(OK)
    assert mesh.engine.standing(client.conn) == "busy"
    client.says(GET[5:])
    upstream.says(OK)
    assert mesh.engine.standing(client.conn) == "free"


def test_a_moved_connection_is_forgotten_without_a_word() -> None:
    mesh = Playbook()
    client = mesh.connect()
    assert move_out(mesh, client)
    assert (client.heard, client.events, mesh.engine.standing(client.conn)) == (b"", [], "fixed")
    client.says(GET)
    assert not mesh.dials


def test_a_bolt_connection_is_free_when_every_call_has_its_answer() -> None:
    mesh = Playbook(snapshot(bolt.UP, listener=Listener("in", "", "t", protocol=WireProtocol.BOLT)))
    client = mesh.connect()
    frame = bolt.request(1)
    client.says(frame + bolt.request(2) + frame[:20])
    server = mesh.dialled()
    assert mesh.engine.standing(client.conn) == "busy"
    client.says(frame[20:])
    assert mesh.engine.standing(client.conn) == "whole"
    sent = server.takes()
    size = len(frame)
    for at in range(0, len(sent), size):
        server.says(bolt.response(bolt.id_of(sent[at:])))
    assert mesh.engine.standing(client.conn) == "free"


def test_an_http2_connection_is_drained_and_the_others_are_left_alone() -> None:
    mesh = Playbook(snapshot(Cluster("up", (Endpoint("10.0.0.1:80"),))))
    kept, second = mesh.connect(), Http2Peer(mesh.connect(), is_client=True)
    kept.says(GET)
    upstream = mesh.dialled()
    upstream.says(OK)
    kept.takes()
    mesh.do(mesh.engine.drain_fixed(mesh.now))
    assert (kept.heard, kept.events, mesh.engine.standing(second.peer.conn)) == (b"", [], "fixed")
    assert [type(frame) for frame in frames(second.peer.takes())] == [GoAwayFrame, PingFrame]
    kept.says(GET)
    upstream.says(OK)
    assert b"connection: close" not in kept.takes().lower()
    assert mesh.engine.standing(kept.conn) == "free"


def test_a_connection_over_a_unix_socket_stays_where_it_is() -> None:
    mesh = Playbook()
    conn, actions = mesh.engine.accepted("in", "unix", mesh.now)
    mesh.peers[conn] = Peer(mesh, conn, "client")
    mesh.do(actions)
    assert mesh.engine.standing(conn) == "fixed"
    mesh.do(mesh.engine.drain_fixed(mesh.now))
    assert mesh.peers[conn].events == ["close"]
