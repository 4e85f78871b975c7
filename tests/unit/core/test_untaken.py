"""What HTTP/2 clients leave behind their windows: it counts as what waits for peers, and has an end."""

from __future__ import annotations

import pytest

from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Peer, Playbook
from tests.unit.core.requests import GET
from tests.unit.core.test_http2 import mesh_to, upstream_of

MIB = 1024 * 1024
INITIAL_WINDOW = 4
"""The setting."""


def answer(length: int, sent: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length + bytes(sent)


def asked(mesh: Playbook) -> Peer:
    """Return the endpoint's end of the connection by which a request has just gone."""
    if mesh.dials:
        mesh.dialled()
    (found,) = (peer for peer in mesh.peers.values() if peer.heard.startswith(b"GET "))
    found.takes()
    return found


class Hoarder:
    """A client that opens no window, asks once and has been sent so much of its answer."""

    def __init__(self, mesh: Playbook, waiting: int, *, whole: bool = False) -> None:
        self.peer: Peer = mesh.connect()
        self.client = Http2Peer(self.peer, is_client=True, settings={INITIAL_WINDOW: 0})
        self.mesh = mesh
        self.upstream, self.stream = self.asks(answer(waiting + (not whole), waiting))

    def asks(self, answered: bytes) -> tuple[Peer, int]:
        """Ask, and be answered so; return the endpoint's connection and the stream."""
        stream = self.client.request(body=b"")
        upstream = asked(self.mesh)
        upstream.says(answered)
        self.client.exchange()
        return upstream, stream

    @property
    def has_been_cut(self) -> bool:
        # It ends with the next call.
        self.mesh.do(self.mesh.engine.tick(self.mesh.now))
        return "abort" in self.peer.events


def presses(mesh: Playbook) -> bool:
    """Tell whether so much waits that nobody is read for who takes nothing."""
    client = mesh.connect()
    client.says(GET)
    upstream = asked(mesh)
    upstream.says(answer(1_000, 1))
    before = len(upstream.events)
    client.is_writable(False, 1)
    told = upstream.events[before:]
    client.vanishes()
    return told == ["pause"]


def test_what_waits_behind_windows_counts_until_they_are_opened() -> None:
    mesh = Playbook()
    assert not presses(mesh)
    first, second = Hoarder(mesh, 3 * MIB), Hoarder(mesh, 2 * MIB)
    assert presses(mesh)
    for window in (None, first.stream):
        first.client.h2.increment_flow_control_window(2 * MIB, window)
    first.client.exchange()
    assert len(first.client.streams[first.stream].body) == 2 * MIB and not presses(mesh)
    Hoarder(mesh, 2 * MIB)
    assert presses(mesh)
    second.client.reset(second.stream, 8)
    assert not presses(mesh)


@pytest.mark.parametrize("whole", [False, True])
def test_what_waited_for_a_client_that_vanished_is_forgotten(whole: bool) -> None:
    mesh = Playbook()
    hoarder = Hoarder(mesh, 5 * MIB, whole=whole)
    assert presses(mesh)
    hoarder.peer.vanishes()
    assert not presses(mesh)


def test_an_answer_that_has_become_whole_counts_as_before() -> None:
    mesh = Playbook()
    hoarder = Hoarder(mesh, 5 * MIB)
    hoarder.upstream.says(bytes(1))
    assert presses(mesh)
    for window in (None, hoarder.stream):
        hoarder.client.h2.increment_flow_control_window(6 * MIB, window)
    hoarder.client.exchange()
    assert hoarder.client.streams[hoarder.stream].ended and not presses(mesh)


def test_a_body_that_an_endpoint_opens_no_window_for_counts_until_it_gives_the_stream_up() -> None:
    mesh = mesh_to()
    mesh.connect().says(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9000000\r\n\r\n")
    upstream = upstream_of(mesh, initial_window_size=0)
    (uploading,) = (peer for peer in mesh.peers.values() if peer.address != upstream.peer.address)
    uploading.says(bytes(5 * MIB))

    def is_paused() -> bool:
        other = mesh.connect()
        other.says(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n1")
        return other.events == ["pause"]

    assert is_paused()
    upstream.exchange()
    upstream.reset(1, 8)
    assert not is_paused()


def test_who_asks_for_ever_more_and_opens_no_window_is_cut_off_once_much_waits() -> None:
    mesh = Playbook()
    early = Hoarder(mesh, 70_000, whole=True)
    under_way = [Hoarder(mesh, 6 * MIB) for _ in range(3)]
    modest, greedy = Hoarder(mesh, 60_000, whole=True), Hoarder(mesh, 60_000, whole=True)
    assert not any(one.has_been_cut for one in (early, modest, greedy, *under_way))
    greedy.asks(answer(10_000, 10_000))
    assert greedy.has_been_cut and not any(one.has_been_cut for one in (early, modest, *under_way))


def test_answers_that_end_with_trailers_are_whole_too() -> None:
    mesh = Playbook()
    for _ in range(3):
        Hoarder(mesh, 6 * MIB)
    chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11170\r\n" + bytes(70_000) + b"\r\n"
    greedy = Hoarder(mesh, 0, whole=True)
    upstream, _ = greedy.asks(chunks)
    assert not greedy.has_been_cut
    upstream.says(b"0\r\nx-sum: 1\r\n\r\n")
    assert not greedy.has_been_cut, "nothing more waits than before"
    greedy.asks(answer(1, 1))
    assert greedy.has_been_cut
