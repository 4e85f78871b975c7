"""What clients do not take: it is bounded over all of them, and the next request of each waits for it."""

from __future__ import annotations

from eventmesh.model.listener import Listener
from tests.unit.core.playbook import Playbook, snapshot
from tests.unit.core.test_http1 import GET, OK

MUCH = 5 * 1024 * 1024
"""More than may wait for all peers before reads become small."""

HURRIED = Listener("in", "127.0.0.1:0", route_table="t", head_timeout_s=5.0, idle_timeout_s=600.0)


def test_while_much_waits_a_client_that_takes_nothing_pauses_its_upstream_at_once() -> None:
    mesh = Playbook()
    client, other = mesh.connect(), mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    other.is_writable(False, MUCH)
    client.is_writable(False, 1)
    assert upstream.events == ["pause"]
    client.is_writable(True)
    assert upstream.events == ["pause", "resume"]
    other.is_writable(True)
    client.is_writable(False, 1)
    upstream.says(b"x")
    assert upstream.events == ["pause", "resume"], "there is credit again"


def test_what_waits_for_connections_that_are_gone_for_the_engine_counts_until_it_has_left() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    mesh.engine.parting(0, MUCH)
    client.is_writable(False, 1)
    client.is_writable(True)
    assert upstream.events == ["pause", "resume"]
    mesh.engine.parting(MUCH, 0)
    client.is_writable(False, 1)
    assert upstream.events == ["pause", "resume"]


def test_large_bodies_come_as_they_were_sent_whatever_memory_they_are_written_from() -> None:
    mesh = Playbook()
    first, second = mesh.connect(), mesh.connect()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n"
    clients = (first, second)
    for client in clients:
        client.says(GET)
    upstreams = [mesh.dialled() for _ in clients]
    for _ in range(2):
        asked = [upstream for upstream in upstreams if upstream.takes()]
        for piece in (head, *(bytes(index % 251 for index in range(size)) for size in (100_000, 20_000, 180_000))):
            for client, upstream in zip(clients, asked, strict=True):
                upstream.says(piece)
                client.hears(piece)
        for client in clients:
            client.says(GET)
            (upstream,) = (upstream for upstream in upstreams if upstream.takes())
            upstream.says(head + bytes(300_000))
            client.hears(head + bytes(300_000))
        clients[0].says(GET)
        upstreams.sort(key=lambda upstream: not upstream.heard)
        clients[1].says(GET)


def test_what_waited_for_a_client_that_vanished_is_forgotten() -> None:
    mesh = Playbook()
    client, other = mesh.connect(), mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    other.is_writable(False, MUCH)
    other.vanishes()
    client.is_writable(False, 1)
    assert upstream.events == []


def test_what_is_left_where_there_is_room_again_presses_nobody() -> None:
    mesh = Playbook()
    for crowd in [mesh.connect() for _ in range(600)]:
        crowd.is_writable(False, 20_000)
        crowd.is_writable(True, 8 * 1024)
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    client.is_writable(False, 1)
    assert upstream.events == []


def test_a_pipelined_request_begins_when_the_answer_before_it_has_been_taken() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET + GET)
    upstream = mesh.dialled()
    asked = upstream.takes()
    client.is_writable(False, 20_000)
    upstream.says(OK)
    assert upstream.takes() == b""
    client.is_writable(True)
    assert upstream.takes() == asked


def test_a_pipelining_client_that_takes_nothing_is_not_read_for_ever() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    client.is_writable(False, 20_000)
    upstream.says(OK)
    client.says(GET * 4_000)
    assert client.events == ["pause"]


def test_a_request_that_is_held_back_has_its_time_when_it_is_looked_at_and_not_before() -> None:
    mesh = Playbook(snapshot(listener=HURRIED))
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    client.is_writable(False, 20_000)
    upstream.says(OK)
    client.says(GET[:-2])
    mesh.passes(100.0)
    assert client.events == []
    client.is_writable(True)
    mesh.passes(4.0)
    assert client.events == []
    mesh.passes(2.0)
    assert client.events == ["close"]


def test_the_head_behind_a_request_must_come_in_time_too() -> None:
    mesh = Playbook(snapshot(listener=HURRIED))
    client = mesh.connect()
    client.says(GET + GET[:-2])
    mesh.dialled().says(OK)
    mesh.passes(6.0)
    assert client.events == ["close"]


def test_a_client_that_never_takes_its_answer_is_left_when_it_has_idled_long_enough() -> None:
    mesh = Playbook(snapshot(listener=HURRIED))
    client = mesh.connect()
    client.says(GET + GET)
    upstream = mesh.dialled()
    client.is_writable(False, 20_000)
    upstream.says(OK)
    mesh.passes(601.0)
    assert client.events == ["close"]
