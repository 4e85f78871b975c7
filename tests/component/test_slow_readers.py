"""Clients that read slowly, or leave: what waited for them is forgotten to the last byte, and reads are large again."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.core import Engine
from eventmesh.transport.connection import AcceptedConnection
from eventmesh.transport.driver import Driver
from eventmesh.transport.listeners import Listeners
from tests.component.planes import proxy

EASY = 4 * 1024 * 1024
"""What may wait before reads become small."""

LARGE_READ = 96 * 1024
"""What a read may bring until then."""

BODY = bytes(512 * 1024)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
CLIENTS = 120


@asynccontextmanager
async def mesh() -> AsyncIterator[tuple[Driver, tuple[str, int]]]:
    """Run a driver before a server of large answers; give it with the address where it listens."""
    answering: set[asyncio.Task[None] | None] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ANSWER)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    driver = Driver(Engine(), {}, SystemClock())
    listeners = Listeners(driver)
    snapshot = proxy(f"127.0.0.1:{port}")
    change = listeners.prepare(snapshot.listeners)
    driver.engine.apply(snapshot.to_core(), 0.0)
    await listeners.commit(change)
    host, _, own = listeners.addresses()["edge"].rpartition(":")
    try:
        yield driver, (host, int(own))
    finally:
        listeners.close()
        await driver.stop()
        server.close()
        await asyncio.gather(*(task for task in answering if task is not None))


def is_pressed(driver: Driver, more: int = 0) -> bool:
    """Return whether reads are small, or would be if `more` bytes waited."""
    driver.engine.parting(0, more)
    offered = len(AcceptedConnection(driver, "edge", is_unix=False).get_buffer(-1))
    driver.engine.parting(more, 0)
    return offered < LARGE_READ


async def connected(address: tuple[str, int]) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(client, address)
    return client


async def take(client: socket.socket, count: int) -> int:
    loop, taken = asyncio.get_running_loop(), 0
    while taken < count and (piece := await loop.sock_recv(client, min(65536, count - taken))):
        taken += len(piece)
    return taken


@pytest.mark.parametrize("seed", range(3))
async def test_what_waited_for_slow_clients_is_forgotten_however_they_end(seed: int) -> None:
    chance = random.Random(seed)
    loop = asyncio.get_running_loop()
    async with mesh() as (driver, address):
        clients = [await connected(address) for _ in range(CLIENTS)]
        asked = [chance.choice((1, 1, 3)) for _ in clients]
        for client, count in zip(clients, asked, strict=True):
            await loop.sock_sendall(client, GET * count)
        while not is_pressed(driver):
            await asyncio.sleep(0)

        async def end(client: socket.socket, count: int) -> None:
            kind = chance.choice(("reads all", "reads some", "resets", "closes its side", "leaves"))
            if kind == "reads all":
                whole = len(ANSWER) * count
                assert await take(client, whole) > len(BODY) * count
            elif kind == "reads some":
                await take(client, chance.randrange(len(BODY)))
            elif kind == "resets":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif kind == "closes its side":
                client.shutdown(socket.SHUT_WR)
                await take(client, chance.randrange(len(BODY)))
            client.close()

        await asyncio.gather(*(end(client, count) for client, count in zip(clients, asked, strict=True)))
        while is_pressed(driver, EASY):
            await asyncio.sleep(0)
        assert driver.failures.bugs == 0


async def test_clients_that_have_read_all_and_stay_leave_nothing_that_counts() -> None:
    loop = asyncio.get_running_loop()
    async with mesh() as (driver, address):
        clients = [await connected(address) for _ in range(CLIENTS)]
        for _ in range(2):
            for client in clients:
                await loop.sock_sendall(client, GET)
            while not is_pressed(driver):
                await asyncio.sleep(0)
            await asyncio.gather(*(take(client, len(ANSWER)) for client in clients))
            while is_pressed(driver, EASY):
                await asyncio.sleep(0)
        for client in clients:
            client.close()
