"""Messages with sockets between two processes of ours, over a unix stream socket (unix(7), SCM_RIGHTS)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import Final

from eventmesh.base.errors import UnavailableError

MAX_MESSAGE_BYTES: Final = 256 * 1024 * 1024
"""Longest message: four times the longest of a control plane's, since a configuration is made of several of those."""

MAX_SOCKETS: Final = 253
"""SCM_MAX_FD, the kernel's own bound for one message: a data plane with more listeners is none we have met."""

_HEAD: Final = struct.Struct("!I")


class ChannelClosed(UnavailableError):
    """The other process has gone; nothing more can be said."""


class Channel:
    """One end. Messages arrive whole and in order, each with the sockets it was sent with."""

    def __init__(self, end: socket.socket) -> None:
        """Take `end` over."""
        end.setblocking(False)
        self._end = end
        self._sending = asyncio.Lock()

    async def send(self, message: bytes, sockets: Sequence[socket.socket] = ()) -> None:
        """Send a message; `sockets` stay the caller's. Raises ChannelClosed, and ValueError beyond the limits."""
        if len(message) > MAX_MESSAGE_BYTES or len(sockets) > MAX_SOCKETS:
            raise ValueError(
                f"a message of {len(message)} bytes with {len(sockets)} sockets; "
                f"the limits are {MAX_MESSAGE_BYTES} and {MAX_SOCKETS}"
            )
        async with self._sending:
            try:
                head = _HEAD.pack(len(message))
                sent = await self._send_head(head, sockets)
                await asyncio.get_running_loop().sock_sendall(self._end, head[sent:] + message)
            except OSError as error:
                raise ChannelClosed(f"the other process has gone: {error.strerror}") from error

    async def _send_head(self, head: bytes, sockets: Sequence[socket.socket]) -> int:
        while True:
            try:
                return socket.send_fds(self._end, [head], [one.fileno() for one in sockets])
            except BlockingIOError:
                await self._wait(reading=False)

    async def receive(self) -> tuple[bytes, list[socket.socket]]:
        """Return the next message and its sockets, the caller's to close. Raises ChannelClosed at the end."""
        sockets: list[socket.socket] = []
        try:
            head = await self._receive_head(sockets)
            (length,) = _HEAD.unpack(head)
            if length > MAX_MESSAGE_BYTES:
                raise ChannelClosed(f"a message of {length} bytes; the limit is {MAX_MESSAGE_BYTES}")
            message = bytearray(length)
            await self._fill(memoryview(message))
        except OSError as error:
            for one in sockets:
                one.close()
            raise ChannelClosed(f"the other process has gone: {error.strerror}") from error
        except BaseException:
            for one in sockets:
                one.close()
            raise
        return bytes(message), sockets

    async def _receive_head(self, sockets: list[socket.socket]) -> bytes:
        head = b""
        while len(head) < _HEAD.size:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._end, _HEAD.size - len(head), MAX_SOCKETS)
            except BlockingIOError:
                await self._wait(reading=True)
                continue
            sockets.extend(socket.socket(fileno=descriptor) for descriptor in descriptors)
            if not data:
                raise ChannelClosed("the other process has gone")
            head += data
        return head

    async def _fill(self, into: memoryview) -> None:
        loop = asyncio.get_running_loop()
        while into:
            count = await loop.sock_recv_into(self._end, into)
            if not count:
                raise ChannelClosed("the other process has gone")
            into = into[count:]

    async def _wait(self, *, reading: bool) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        add, remove = (loop.add_reader, loop.remove_reader) if reading else (loop.add_writer, loop.remove_writer)
        add(self._end, _resolve, ready)
        try:
            await ready
        finally:
            remove(self._end)

    def close(self) -> None:
        """Say no more; the other end sees it."""
        self._end.close()


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
