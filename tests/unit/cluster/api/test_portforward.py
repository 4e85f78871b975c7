from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.api.portforward import MAX_CONNECTIONS, PortForward
from tests.unit.cluster.api.test_spdy import Client, data
from tests.waiting import WAIT_S


class Wire:
    """Takes what the server sends: which streams it accepted, refused, ended, and what it said on each."""

    def __init__(self) -> None:
        self.accepted: list[int] = []
        self.refused: list[int] = []
        self.said: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self._changed = asyncio.Event()

    async def send(self, frame: bytes) -> None:
        first, rest = struct.unpack(">II", frame[:8])
        stream = struct.unpack(">I", frame[8:12])[0] if first >> 31 else first
        if first >> 31:
            (self.accepted if first & 0xFFFF == 2 else self.refused).append(stream)
        else:
            self.said[stream] = self.said.get(stream, b"") + frame[8:]
            if rest >> 24 & 1:
                self.ended.add(stream)
        self._changed.set()

    async def until_ended(self, *streams: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while not set(streams) <= self.ended:
                self._changed.clear()
                await self._changed.wait()


def streams(client: Client, request: int, port: object = 80) -> bytes:
    named = {"port": str(port), "requestid": str(request)}
    first = 4 * request + 1
    return client.open(first, {"streamtype": "error", **named}) + client.open(
        first + 2, {"streamtype": "data", **named}
    )


async def test_two_streams_of_one_request_are_one_connection() -> None:
    wire, (here, there) = Wire(), socket.socketpair()
    here.setblocking(False)
    asked = []

    async def dial(port: int) -> socket.socket:
        asked.append(port)
        return here

    forward = PortForward(wire.send, dial, "p")
    await forward.received(streams(Client(), 0) + data(3, b"hello") + data(3, b"", is_last=True))
    there.setblocking(False)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(WAIT_S):
        assert await loop.sock_recv(there, 100) == b"hello"
        assert await loop.sock_recv(there, 100) == b""
    await loop.sock_sendall(there, b"world")
    there.close()
    await wire.until_ended(1, 3)
    assert asked == [80] and wire.accepted == [1, 3]
    assert wire.said == {1: b"", 3: b"world"}
    await forward.stop()


async def test_a_port_that_cannot_be_dialled_is_told_on_the_stream_for_errors() -> None:
    wire = Wire()

    async def dial(port: int) -> socket.socket:
        raise UnavailableError("connection refused")

    forward = PortForward(wire.send, dial, "p")
    await forward.received(streams(Client(), 0, 81))
    await wire.until_ended(1, 3)
    assert wire.said[1] == b"error forwarding port 81 to pod p: connection refused"
    await forward.stop()


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", ""])
async def test_a_port_that_is_none_is_refused(port: str) -> None:
    wire = Wire()

    async def dial(port: int) -> socket.socket:
        raise AssertionError("nothing to dial")

    forward = PortForward(wire.send, dial, "p")
    await forward.received(streams(Client(), 0, port))
    assert wire.refused == [1, 3] and not wire.accepted
    await forward.stop()


async def test_connections_are_bounded() -> None:
    wire, never = Wire(), asyncio.Event()

    async def dial(port: int) -> socket.socket:
        await never.wait()
        raise AssertionError("never")

    forward, client = PortForward(wire.send, dial, "p"), Client()
    for request in range(MAX_CONNECTIONS + 1):
        await forward.received(streams(client, request))
    assert len(wire.accepted) == 2 * MAX_CONNECTIONS and len(wire.refused) == 2
    await forward.stop()
