"""One connection: what uvloop calls when bytes, room or an end come, and how bytes leave.

The hot path is inherited: `Receiver.buffer_updated` hands each read to the engine, and what that writes to the `write`
of the connections it is for. A connection knows its number and nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol, cast

from eventmesh.core import Receiver
from eventmesh.transport.address import format_peer

if TYPE_CHECKING:
    from eventmesh.core import Engine
    from eventmesh.core.actions import Action

LINGER_S: Final = 1.0
"""How long a closed connection still takes what its client sends, before it is cut: Envoy's delayed_close_timeout.
Closing with unread bytes makes the kernel send RST, which may destroy the answer on its way (RFC 9112 9.6)."""

FLUSH_S: Final = 30.0
"""How long a closed connection may take to read what was written for it; a peer that stopped reading holds no more."""

HIGH_WATER: Final = 16 * 1024
"""Bytes that the kernel did not take and that may wait in the transport before the engine hears of it: one of the small
reads that there are while peers take nothing (ADR 0094). The compiled half has the same number."""

LOW_WATER: Final = 8 * 1024
"""Bytes that may still wait when the engine may go on: what was asked for meanwhile finds the kernel busy."""

_RESET: Final = struct.pack("ii", 1, 0)
"""struct linger {on, 0 s}: close() sends RST, so a cut body cannot be taken for a complete one."""


class Owner(Protocol):
    """Whom a connection tells what happens to it: the driver of the engine that knows it by number."""

    @property
    def engine(self) -> Engine:
        """The engine whose connections these are."""
        ...

    @property
    def connections(self) -> dict[int, Connection]:
        """Those the engine knows, by number."""
        ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop they run on."""
        ...

    @property
    def now(self) -> Callable[[], float]:
        """The clock, in monotonic seconds."""
        ...

    def perform(self, actions: Iterable[Action]) -> None:
        """Do what the engine says."""

    def accepted(self, connection: Connection, listener: str) -> None:
        """A client has connected to `listener`."""

    def opened(self, connection: Connection, number: int) -> None:
        """The connection that the engine dialled as `number` is up."""

    def writable(self, connection: Connection, yes: bool) -> None:
        """There is room for more, or none."""

    def ended(self, connection: Connection) -> None:
        """The peer will send no more."""

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """The connection is gone."""

    def failed(self, connection: Connection, error: BaseException) -> None:
        """Its bytes have met a bug, a panic of the core included: it costs this connection, no other."""


class Connection(Receiver, asyncio.BufferedProtocol):
    """A socket of the engine's connection `number`; 0 before the engine knows it and after it has let go."""

    __slots__ = (
        "_cut",
        "_is_held",
        "_owner",
        "_is_unix",
        "_parting",
        "_peer_ended",
        "is_accepted",
        "transport",
        "write",
    )

    def __init__(self, owner: Owner, *, is_accepted: bool, is_unix: bool) -> None:
        self.is_accepted = is_accepted
        self.transport: asyncio.Transport
        self.write: Callable[[bytes], None]
        """Writes bytes in order. The transport's own method: uvloop gives the kernel at once what that takes, and keeps
        the rest."""
        self._owner = owner
        self._is_unix = is_unix
        self._cut: asyncio.TimerHandle | None = None
        self._peer_ended = False
        self._is_held = False
        self._parting = 0

    def attach(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self.transport = cast("asyncio.Transport", transport)
        self.write = self.transport.write
        self.transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)

    def peer(self) -> str:
        """Return the address of the other end, `unix` for a unix socket."""
        # Never ask a unix transport: uvloop (0.21 to 0.23) crashes under churn when `get_extra_info` and `write_eof`
        # are both used on one.
        return "unix" if self._is_unix else format_peer(self.transport.get_extra_info("peername"))

    def pause_writing(self) -> None:
        """Tell the engine that the peer reads too slowly.

        Later, not now: the transport calls this from inside `write`, in the middle of the engine's actions.
        """
        self._owner.loop.call_soon(self._owner.writable, self, False)

    def resume_writing(self) -> None:
        """Tell the engine that there is room again."""
        self._owner.loop.call_soon(self._owner.writable, self, True)

    def eof_received(self) -> bool:
        """Tell the engine that the peer will send no more; the connection stays open until the engine closes it."""
        self._peer_ended = True
        if self.number:
            self._owner.ended(self)
        else:
            self.transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the engine that the connection is gone."""
        if self._cut is not None:
            self._cut.cancel()
        self._part(0)
        self._owner.lost(self, exc)

    def pause_reading(self) -> None:
        """Take no more bytes from the socket."""
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        if not self._is_held and not self.transport.is_closing():
            self.transport.resume_reading()

    def hold(self) -> None:
        """Take no more bytes, whatever the engine orders: what comes is for the process that will have the socket."""
        self._is_held = True
        self.pause_reading()

    @property
    def is_flushed(self) -> bool:
        """Whether everything written has left."""
        return not self.transport.get_write_buffer_size()

    def give_away(self) -> socket.socket:
        """Return the socket, for another process to serve; the peer notices nothing. Not for unix sockets (`peer`)."""
        self.number = 0
        self.hold()
        given = socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno()))
        # Closes this process's descriptor and no more: neither a FIN nor a reset leaves while another is open.
        self.transport.abort()
        return given

    def shutdown(self) -> None:
        """Send no more, once everything written has left."""
        if not self.transport.is_closing():
            self.transport.write_eof()

    def close(self) -> None:
        """Flush and close. A client's connection is closed in two steps: our half first, the rest when the client
        has seen it or `LINGER_S` later."""
        self.number = 0
        transport = self.transport
        if transport.is_closing():
            return
        flushed = not transport.get_write_buffer_size()
        self._part(transport.get_write_buffer_size())
        if self.is_accepted and not self._peer_ended:
            transport.write_eof()
            transport.resume_reading()
            self._cut = self._owner.loop.call_later(LINGER_S if flushed else FLUSH_S, transport.abort)
        else:
            transport.close()
            if not flushed:
                self._cut = self._owner.loop.call_later(FLUSH_S, transport.abort)

    def _part(self, left: int) -> None:
        """Tell the engine, which knows this connection no more, how much of what it wrote waits here."""
        if left != self._parting:
            self._owner.engine.parting(self._parting, left)
            self._parting = left

    def abort(self) -> None:
        """Reset the connection at once."""
        self.number = 0
        if not self._is_unix and not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class AcceptedConnection(Connection):
    """A connection of the listener `listener`."""

    __slots__ = ("listener",)

    def __init__(self, owner: Owner, listener: str, *, is_unix: bool) -> None:
        super().__init__(owner, is_accepted=True, is_unix=is_unix)
        self.listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the engine."""
        self.attach(transport)
        self._owner.accepted(self, self.listener)


class DialledConnection(Connection):
    """A connection the engine asked for as `number`."""

    __slots__ = ("_wanted",)

    def __init__(self, owner: Owner, number: int, *, is_unix: bool) -> None:
        super().__init__(owner, is_accepted=False, is_unix=is_unix)
        self._wanted = number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell the engine that its connection is open."""
        self.attach(transport)
        self._owner.opened(self, self._wanted)


class PromptConnection(DialledConnection):
    """A dialled TCP connection to a server that may write head and body apart.

    With Nagle's algorithm on (Python's http.server, many others) such a server gets the body onto the wire only when
    the head is acknowledged: 40 ms later on a connection in use (tcp(7), TCP_QUICKACK). Once an answer has been seen to
    come in pieces, the first piece of each is acknowledged at once. To acknowledge every read would cost servers that
    answer in one write 5 us a request.
    """

    __slots__ = ("_answers_in_pieces", "_awaits_answer")

    def __init__(self, owner: Owner, number: int) -> None:
        super().__init__(owner, number, is_unix=False)
        self._awaits_answer = False
        self._answers_in_pieces = False

    def attach(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over, and see what is written."""
        super().attach(transport)
        self.write = self._ask

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the engine, and let go of the cycle that `attach` made."""
        super().connection_lost(exc)
        self.write = self.transport.write

    def _ask(self, data: bytes) -> None:
        self._awaits_answer = True
        self.transport.write(data)

    def buffer_updated(self, nbytes: int) -> None:
        """Take in one read. The kernel leaves its quick mode by itself, so it is asked each time."""
        super().buffer_updated(nbytes)
        if not self._awaits_answer:
            self._answers_in_pieces = True
        elif self._answers_in_pieces and self.number:
            self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self._awaits_answer = False
