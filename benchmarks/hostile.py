"""Clients that mean harm, each kind a process: `python -m benchmarks.hostile KIND PORT`, until it is killed.

They are held to a rate that leaves the processor which they share with the polite client to that one: what is
measured is what they cost the proxy.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import cast

from benchmarks import bolt

TURN_S = 0.1
TRICKLERS, PIECE = 400, 24
FLOODERS = 2
PINGS, RESETS, CALLS = 12_000, 500, 2_000
"""Of one burst: more than the limits of a connection allow."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
PING = bytes.fromhex("000008060000000000") + b"\x01" * 8
BOMB = b"GET / HTTP/1.1\r\nHost: host7.bench.test\r\n" + b"".join(
    b"X-%05d: %s\r\n" % (n, b"a" * 90) for n in range(9_000)
)
"""Nine hundred kilobytes of head."""


def _rapid_resets() -> bytes:
    """Return a burst of streams that are opened and given up at once."""
    block = b"\x82\x86\x04\x06/alpha\x41\x10host7.bench.test"
    frames = []
    for number in range(1, 2 * RESETS, 2):
        stream = number.to_bytes(4, "big")
        frames.append(len(block).to_bytes(3, "big") + b"\x01\x05" + stream + block)
        frames.append(bytes.fromhex("00000403 00") + stream + (8).to_bytes(4, "big"))
    return b"".join(frames)


class _Client(asyncio.Protocol):
    """Says what it is given as long as the other end lets it; never reads."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.is_blocked = False
        self.transport.pause_reading()

    def pause_writing(self) -> None:
        self.is_blocked = True

    def resume_writing(self) -> None:
        self.is_blocked = False

    def say(self, data: bytes) -> None:
        if not self.is_blocked and not self.transport.is_closing():
            self.transport.write(data)


async def _crowd(port: int, clients: int, crowd: list[_Client]) -> None:
    """Fill `crowd` up to `clients` connections: who was cut off comes again."""
    crowd[:] = [client for client in crowd if not client.transport.is_closing()]
    while len(crowd) < clients:
        _, client = await asyncio.get_running_loop().create_connection(_Client, "127.0.0.1", port)
        crowd.append(client)


async def _go_on(port: int, clients: int, first: bytes, then: bytes, every_s: float) -> None:
    """Keep connections: each says `first`, and `then` every so often."""
    crowd: list[_Client] = []
    while True:
        known = set(crowd)
        await _crowd(port, clients, crowd)
        for client in crowd:
            client.say(then if client in known else first)
        await asyncio.sleep(every_s)


async def _flood(port: int, said: bytes) -> None:
    """Come, say `said`, go, and come again; a flood that stays is cut off by its first burst."""
    while True:
        crowd: list[_Client] = []
        await _crowd(port, FLOODERS, crowd)
        for client in crowd:
            client.say(said)
        await asyncio.sleep(TURN_S)
        for client in crowd:
            client.transport.abort()


async def trickle(port: int) -> None:
    """Heads that never end, 24 bytes a second."""
    head = b"GET / HTTP/1.1\r\nHost: host7.bench.test\r\n"
    await _go_on(port, TRICKLERS, head, b"X: " + b"a" * (PIECE - 5) + b"\r\n", 1.0)


async def slow_readers(port: int) -> None:
    """Requests whose large answers nobody takes."""
    await _go_on(port, TRICKLERS, b"GET /alpha HTTP/1.1\r\nHost: host7.bench.test\r\n\r\n", b"", 1.0)


async def pings(port: int) -> None:
    """HTTP/2 PINGs without end, whose answers nobody takes."""
    await _flood(port, PREFACE + PING * PINGS)


async def resets(port: int) -> None:
    """HTTP/2 streams that are given up at once."""
    await _flood(port, PREFACE + _rapid_resets())


async def bombs(port: int) -> None:
    """Heads far beyond the limit."""
    await _flood(port, BOMB)


async def stalled_bolt(port: int) -> None:
    """A caller of Bolt that takes no answers."""
    calls = bolt.PROTOCOLS["bolt"].request * CALLS
    await _go_on(port, 1, calls, calls, TURN_S)


KINDS = {kind.__name__: kind for kind in (trickle, slow_readers, pings, resets, bombs, stalled_bolt)}

if __name__ == "__main__":
    asyncio.run(KINDS[sys.argv[1]](int(sys.argv[2])))
