"""The compiled half of a connection: whom it tells what of a read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from eventmesh.core import Engine, Receiver
from eventmesh.core.actions import OPEN, PAUSE, SHUTDOWN, Action
from tests.unit.core.playbook import snapshot

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
NONSENSE = b"\x00\r\n\r\n"
NOW = 7.0


@dataclass
class Written:
    """A connection that keeps what is written to it."""

    fault: BaseException | None = None
    kept: int = 0
    heard: list[bytes] = field(default_factory=list)

    @property
    def transport(self) -> Written:
        return self

    def get_write_buffer_size(self) -> int:
        return self.kept

    def write(self, data: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.heard.append(data)


def hear(receiver: Receiver, data: bytes) -> None:
    """Read `data` as an event loop does."""
    receiver.get_buffer(-1)[: len(data)] = data
    receiver.buffer_updated(len(data))


class Owner:
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.engine.apply(snapshot().to_core(), NOW)
        self.connections: dict[int, Written] = {}
        self.performed: list[Action] = []
        self.failures: list[tuple[Receiver, BaseException]] = []

    def now(self) -> float:
        return NOW

    def perform(self, actions: Iterable[Action]) -> None:
        self.performed.extend(actions)

    def failed(self, receiver: Receiver, error: BaseException) -> None:
        self.failures.append((receiver, error))

    def accept(self, connection: Written | None = None) -> Receiver:
        receiver = Receiver(self)
        receiver.number, _ = self.engine.accepted("in", "192.0.2.1:1", NOW)
        self.connections[receiver.number] = connection or Written()
        return receiver


def test_a_read_is_written_where_it_goes_and_its_other_orders_are_performed() -> None:
    owner = Owner()
    client = owner.accept()
    hear(client, REQUEST)
    (opened,) = (action[1] for action in owner.performed if action[0] == OPEN)
    server = owner.connections[opened] = Written()
    owner.engine.opened(opened, NOW)
    owner.performed.clear()
    hear(client, NONSENSE)  # pipelined: refused when its turn comes
    upstream = Receiver(owner)
    upstream.number = opened
    hear(upstream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    (heard,) = owner.connections[client.number].heard
    assert heard.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\nokHTTP/1.1 400 " in heard
    assert not server.heard
    assert (SHUTDOWN, client.number) in owner.performed
    assert not owner.failures


def test_bytes_that_come_when_there_is_no_connection_any_more_are_dropped() -> None:
    owner = Owner()
    client = owner.accept()
    client.number = 0
    hear(client, NONSENSE)
    assert not owner.performed
    assert not owner.failures


def test_what_goes_wrong_is_told_of_the_connection_it_concerns() -> None:
    owner = Owner()
    fault = BaseException("a bug")
    client = owner.accept(Written(fault))
    hear(client, NONSENSE)
    assert owner.failures == [(client, fault)]


@pytest.mark.parametrize("wish", [KeyboardInterrupt, SystemExit])
def test_who_wants_the_process_to_end_is_not_kept_from_it(wish: type[BaseException]) -> None:
    owner = Owner()
    client = owner.accept(Written(wish()))
    with pytest.raises(wish):
        hear(client, NONSENSE)
    assert not owner.failures


def test_a_panic_comes_out_as_a_failure_and_goes_no_further() -> None:
    owner = Owner()
    client = owner.accept()

    class Busy(list[tuple[str, str]]):
        """Reads while the engine is at work on it, which its cell forbids by a panic."""

        def __iter__(self) -> Iterator[tuple[str, str]]:
            hear(client, REQUEST)
            return super().__iter__()

    owner.engine.send("t", "GET", "h", "/", Busy(), b"", NOW)
    ((failed, error),) = owner.failures
    assert failed is client
    assert type(error).__name__ == "PanicException"
    assert "borrowed" in str(error)
    hear(owner.accept(), REQUEST)
    assert OPEN in [action[0] for action in owner.performed]


def test_reads_are_small_and_their_source_is_paused_at_once_while_much_waits_for_peers() -> None:
    owner = Owner()
    client, crowd = owner.accept(), owner.accept()
    hear(client, REQUEST)
    (opened,) = (action[1] for action in owner.performed if action[0] == OPEN)
    owner.connections[opened] = Written()
    owner.engine.opened(opened, NOW)
    upstream = Receiver(owner)
    upstream.number = opened
    whole = len(upstream.get_buffer(-1))
    owner.engine.writable(crowd.number, False, 5 * 1024 * 1024, NOW)
    small = len(upstream.get_buffer(-1))
    assert (whole, small) == (96 * 1024, 16 * 1024)
    owner.performed.clear()
    owner.connections[client.number].kept = small + 1
    hear(upstream, (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * small)[:small])
    assert (PAUSE, opened) in owner.performed
    owner.engine.writable(crowd.number, True, 0, NOW)
    assert len(upstream.get_buffer(-1)) == whole
