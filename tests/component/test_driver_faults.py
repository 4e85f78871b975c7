"""What a bug in the core would cost: the connection it concerns, and a line in the log."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.core import Engine
from eventmesh.core.actions import Action
from eventmesh.transport.driver import Driver
from eventmesh.transport.listeners import Listeners
from tests.component.planes import ask, backend, proxy

MARK = b"/panic"


class Panicking:
    """The real engine, except that it panics on a read with a mark in it."""

    def __init__(self) -> None:
        self._engine = Engine(0)

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    def received(self, conn: int, data: bytes, now: float) -> Sequence[Action]:
        if MARK in data:
            raise BaseException("panicked")  # PyO3's PanicException is no Exception either
        return self._engine.received(conn, data, now)


async def test_a_panic_on_one_connection_leaves_the_others_alone() -> None:
    async with backend() as upstream:
        engine = Panicking()
        driver = Driver(cast("Engine", engine), {}, SystemClock())
        listeners = Listeners(driver)
        snapshot = proxy(upstream)
        change = listeners.prepare(snapshot.listeners)
        engine._engine.apply(snapshot.to_core(), 0.0)
        await listeners.commit(change)
        address = listeners.addresses()["edge"]
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert driver.failures.bugs == 1
        assert (await ask(address, "/fine")).status == 200
        writer.close()
        listeners.close()
        await driver.stop()
