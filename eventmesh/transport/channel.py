"""Messages with sockets and files between two processes of ours, over a unix stream socket (unix(7), SCM_RIGHTS)."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from eventmesh.base.errors import UnavailableError

MAX_MESSAGE_BYTES: Final = 256 * 1024 * 1024
"""Longest message: four times the longest of a control plane's, since a configuration is made of several of those."""

MAX_SOCKETS: Final = 253
"""SCM_MAX_FD, the kernel's own bound for one message: a data plane with more listeners is none we have met."""

_HEAD: Final = struct.Struct("!I")


Taker = Callable[[str, socket.socket], Awaitable[None]]
"""Takes a connection that was accepted at an address, which stays the caller's to close. Raises ChannelClosed when
whoever it is for has gone."""


class ChannelClosed(UnavailableError):
    """The other process has gone; nothing more can be said."""


class Channel:
    """One end. Messages arrive whole and in order, each with the sockets it was sent with."""

    def __init__(self, end: socket.socket) -> None:
        """Take `end` over."""
        end.setblocking(False)
        self._end = end
        self._sending = asyncio.Lock()

    async def send(self, message: bytes, sockets: Sequence[socket.socket | int] = ()) -> None:
        """Send a message with sockets, or descriptors of files, which stay the caller's.

        Cancelled before any of it has left, it has not been sent; in its midst, it is the last that is said.
        Raises ChannelClosed, and ValueError beyond the limits.
        """
        if len(message) > MAX_MESSAGE_BYTES or len(sockets) > MAX_SOCKETS:
            raise ValueError(
                f"a message of {len(message)} bytes with {len(sockets)} sockets; "
                f"the limits are {MAX_MESSAGE_BYTES} and {MAX_SOCKETS}"
            )
        async with self._sending:
            try:
                whole = memoryview(_HEAD.pack(len(message)) + message)
                sent = await self._send_beginning(whole, sockets)
                if sent < len(whole):
                    await self._send_rest(whole[sent:])
            except OSError as error:
                raise ChannelClosed(f"the other process has gone: {error.strerror}") from error

    async def _send_beginning(self, whole: memoryview, sockets: Sequence[socket.socket | int]) -> int:
        """Return how many bytes have left: of a short message all."""
        descriptors = [one if isinstance(one, int) else one.fileno() for one in sockets]
        while True:
            try:
                return socket.send_fds(self._end, [whole], descriptors)
            except BlockingIOError:
                await self._wait(reading=False)

    async def _send_rest(self, rest: memoryview) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self._end, rest)
        except asyncio.CancelledError:
            # What is said after half a message would be taken for its other half.
            with suppress(OSError):
                self._end.shutdown(socket.SHUT_WR)
            raise

    async def receive(self) -> tuple[bytes, list[socket.socket]]:
        """Return the next message and its sockets, the caller's to close. Raises ChannelClosed at the end."""
        message, descriptors = await self.receive_descriptors()
        return message, [socket.socket(fileno=one) for one in descriptors]

    async def receive_descriptors(self) -> tuple[bytes, list[int]]:
        """Do what `receive` does where a message comes with files that are no sockets."""
        descriptors: list[int] = []
        try:
            head = await self._receive_head(descriptors)
            (length,) = _HEAD.unpack(head)
            if length > MAX_MESSAGE_BYTES:
                raise ChannelClosed(f"a message of {length} bytes; the limit is {MAX_MESSAGE_BYTES}")
            message = bytearray(length)
            await self._fill(memoryview(message))
        except OSError as error:
            _close(descriptors)
            raise ChannelClosed(f"the other process has gone: {error.strerror}") from error
        except BaseException:
            _close(descriptors)
            raise
        return bytes(message), descriptors

    async def _receive_head(self, descriptors: list[int]) -> bytes:
        head = b""
        while len(head) < _HEAD.size:
            try:
                data, received, _, _ = socket.recv_fds(self._end, _HEAD.size - len(head), MAX_SOCKETS)
            except BlockingIOError:
                await self._wait(reading=True)
                continue
            descriptors.extend(received)
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


def _close(descriptors: Sequence[int]) -> None:
    for one in descriptors:
        os.close(one)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
