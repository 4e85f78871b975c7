"""Clients that trickle, flood and never read, beside one that is polite: it is served, and memory is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from tests.component.planes import ask, backend
from tests.component.processes import data_plane, write_bootstrap
from tests.waiting import WAIT_S

ALLOWED_KIB = 32 * 1024
"""What any of this may cost a data plane."""
CLIENTS, ROUNDS, PIECE = 400, 12, 24
BODY = bytes(256 * 1024)


class Crowd:
    """Connections to one address that nobody reads from."""

    def __init__(self, address: str, stack: AsyncExitStack) -> None:
        host, _, port = address.rpartition(":")
        self._place = (host, int(port))
        self._stack = stack

    async def connect(self) -> asyncio.Transport:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *self._place)
        # What is not read stays with the data plane, or the kernel.
        transport.pause_reading()
        self._stack.callback(transport.abort)
        return transport

    async def all_say(self, beginning: bytes, clients: int = CLIENTS) -> list[asyncio.Transport]:
        crowd = [await self.connect() for _ in range(clients)]
        for transport in crowd:
            transport.write(beginning)
        return crowd


async def _trickle(crowd: Crowd, beginning: bytes) -> AsyncIterator[None]:
    clients = await crowd.all_say(beginning)
    for number in range(ROUNDS):
        for client in clients:
            client.write(b"X%03d: %s\r\n" % (number, b"a" * (PIECE - 8)))
        yield


async def heads(crowd: Crowd) -> AsyncIterator[None]:
    """Heads that never end, 24 bytes at a time (slowloris)."""
    async for _ in _trickle(crowd, b"GET / HTTP/1.1\r\nHost: a\r\n"):
        yield


async def bodies(crowd: Crowd) -> AsyncIterator[None]:
    """Bodies that never end (R-U-Dead-Yet)."""
    async for _ in _trickle(crowd, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"):
        yield


async def non_readers(crowd: Crowd) -> AsyncIterator[None]:
    """Large answers that nobody takes (slow read)."""
    await crowd.all_say(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", CLIENTS // 4)
    for _ in range(ROUNDS):
        yield


async def pipelines(crowd: Crowd) -> AsyncIterator[None]:
    """Thousands of requests at once on each connection, whose answers nobody takes."""
    await crowd.all_say(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 5_000, 20)
    for _ in range(ROUNDS):
        yield


async def pings(crowd: Crowd) -> AsyncIterator[None]:
    """HTTP/2 control frames without end, whose acknowledgements nobody takes."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
    clients = await crowd.all_say(preface, 20)
    for _ in range(ROUNDS):
        for client in clients:
            client.write(bytes.fromhex("0000080600000000000102030405060708") * 2_000)
        yield


async def strangers(crowd: Crowd) -> AsyncIterator[None]:
    """Connections that say nothing, or nothing that can be understood, and go."""
    for beginning in (b"", b"\x16\x03\x01", b"\x00" * 300, b"SSH-2.0-x\r\n", b"GET"):
        for client in await crowd.all_say(beginning, CLIENTS // 4):
            client.close()
        yield


KINDS: list[Callable[[Crowd], AsyncIterator[None]]] = [heads, bodies, non_readers, pipelines, pings, strangers]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_a_polite_client_is_served_and_memory_is_bounded(
    kind: Callable[[Crowd], AsyncIterator[None]], tmp_path: Path
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/large":
            return web.Response(body=BODY)
        await request.read()
        return web.Response(text="polite")

    async with (
        asyncio.timeout(4 * WAIT_S),
        AsyncExitStack() as stack,
        backend(answer) as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream)) as gateway,
    ):
        await ask(gateway.addresses["edge"], "/")
        before = gateway.memory_kib("VmHWM")
        async for _ in kind(Crowd(gateway.addresses["edge"], stack)):
            async with asyncio.timeout(WAIT_S):
                assert (await ask(gateway.addresses["edge"], "/")).body == b"polite"
        assert gateway.memory_kib("VmHWM") - before < ALLOWED_KIB
