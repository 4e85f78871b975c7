"""One connection: what uvloop calls when bytes, room or an end come, and how bytes leave.

This is the hot path: `data_received` makes one call into the engine per read, `write` one system call per
write. A connection knows its number and nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

from eventmesh.transport.address import format_peer

if TYPE_CHECKING:
    from eventmesh.transport.driver import Driver

LINGER_S: Final = 1.0
"""How long a closed connection still takes what its client sends, before it is cut: Envoy's delayed_close_timeout.
Closing with unread bytes makes the kernel send RST, which may destroy the answer on its way (RFC 9112 9.6)."""

FLUSH_S: Final = 30.0
"""How long a closed connection may take to read what was written for it; a peer that stopped reading holds no more."""

_RESET: Final = struct.pack("ii", 1, 0)
"""struct linger {on, 0 s}: close() sends RST, so a cut body cannot be taken for a complete one."""


class Connection(asyncio.Protocol):
    """A socket of the engine's connection `number`; 0 before the engine knows it and after it has let go."""

    __slots__ = (
        "_cut",
        "_driver",
        "_fd",
        "_now",
        "_perform",
        "_queued",
        "_receive",
        "is_accepted",
        "_peer_ended",
        "number",
        "transport",
    )

    def __init__(self, driver: Driver, *, is_accepted: bool) -> None:
        self.number = 0
        self.is_accepted = is_accepted
        self.transport: asyncio.Transport
        self._driver = driver
        self._receive = driver.engine.received
        self._perform = driver.perform
        self._now = driver.now
        self._fd = -1
        self._cut: asyncio.TimerHandle | None = None
        self._peer_ended = False
        self._queued = False

    def attach(self, transport: asyncio.BaseTransport, *, is_unix: bool) -> None:
        """Take the transport over. Unix sockets are written through it alone: with them uvloop (0.21 to 0.23)
        crashes under churn when `get_extra_info` and `write_eof` are both used."""
        self.transport = cast("asyncio.Transport", transport)
        if not is_unix:
            self._fd = transport.get_extra_info("socket").fileno()

    def peer(self) -> str:
        """Return the address of the other end, `unix` for a unix socket."""
        return "unix" if self._fd < 0 else format_peer(self.transport.get_extra_info("peername"))

    def data_received(self, data: bytes) -> None:
        """Hand one read to the engine and do what it says; bytes that come after the engine let go are dropped."""
        number = self.number
        if not number:
            return
        try:
            self._perform(self._receive(number, data, self._now()))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a bug, the core's panics included: it costs this connection, no other
            self._driver.failed(self, error)

    def write(self, data: bytes) -> None:
        """Write on the socket at once when nothing is queued before; what does not fit goes through the transport.

        Measured with one connection: 5 to 8 % less CPU a request than the transport alone, which writes at the end of
        the loop's turn; with 64 connections no difference.
        """
        if self._queued and not self.transport.get_write_buffer_size():
            self._queued = False
        if not self._queued and self._fd >= 0:
            try:
                sent = os.write(self._fd, data)
            except OSError:
                sent = 0  # full, or broken: the transport waits, or tells what is wrong
            if sent == len(data):
                return
            if sent:
                data = data[sent:]
        self._queued = True
        self.transport.write(data)

    def pause_writing(self) -> None:
        """Tell the engine that the peer reads too slowly.

        Later, not now: the transport calls this from inside `write`, in the middle of the engine's actions.
        """
        self._driver.loop.call_soon(self._driver.writable, self, False)

    def resume_writing(self) -> None:
        """Tell the engine that there is room again."""
        self._driver.loop.call_soon(self._driver.writable, self, True)

    def eof_received(self) -> bool:
        """Tell the engine that the peer will send no more; the connection stays open until the engine closes it."""
        self._peer_ended = True
        if self.number:
            self._driver.ended(self)
        else:
            self.transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the engine that the connection is gone."""
        if self._cut is not None:
            self._cut.cancel()
        self._driver.lost(self, exc)

    def pause_reading(self) -> None:
        """Take no more bytes from the socket."""
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

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
        if self.is_accepted and not self._peer_ended:
            transport.write_eof()
            transport.resume_reading()
            self._cut = self._driver.loop.call_later(LINGER_S if flushed else FLUSH_S, transport.abort)
        else:
            transport.close()
            if not flushed:
                self._cut = self._driver.loop.call_later(FLUSH_S, transport.abort)

    def abort(self) -> None:
        """Reset the connection at once."""
        self.number = 0
        if self._fd >= 0 and not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class AcceptedConnection(Connection):
    """A connection of the listener `listener`."""

    __slots__ = ("_is_unix", "_listener")

    def __init__(self, driver: Driver, listener: str, *, is_unix: bool) -> None:
        super().__init__(driver, is_accepted=True)
        self._listener = listener
        self._is_unix = is_unix

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the engine."""
        self.attach(transport, is_unix=self._is_unix)
        self._driver.accepted(self, self._listener)


class DialledConnection(Connection):
    """A connection the engine asked for as `number`."""

    __slots__ = ("_is_unix", "_wanted")

    def __init__(self, driver: Driver, number: int, *, is_unix: bool) -> None:
        super().__init__(driver, is_accepted=False)
        self._wanted = number
        self._is_unix = is_unix

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell the engine that its connection is open."""
        self.attach(transport, is_unix=self._is_unix)
        self._driver.opened(self, self._wanted)


class PromptConnection(DialledConnection):
    """A dialled connection that acknowledges each read at once.

    A server that writes head and body apart, with Nagle's algorithm on (Python's http.server, many others), gets the
    body onto the wire only when the head is acknowledged: 40 ms later on a connection in use (tcp(7), TCP_QUICKACK).
    """

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Take in one read, then acknowledge it. The kernel falls back by itself, so it is asked each time."""
        super().data_received(data)
        if self.number:
            self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
