"""What a bug would cost: the connection it concerns, and a line in the log."""

import asyncio

import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.core import Engine
from eventmesh.transport.driver import Driver
from eventmesh.transport.listeners import Listeners
from tests.component.planes import ask, backend, proxy


def panic(_data: bytes) -> None:
    raise BaseException("panicked")  # PyO3's PanicException is no Exception either


async def test_a_bug_met_by_one_connection_leaves_the_others_alone() -> None:
    async with backend() as upstream:
        engine = Engine()
        driver = Driver(engine, {}, SystemClock())
        listeners = Listeners(driver)
        snapshot = proxy(upstream)
        change = listeners.prepare(snapshot.listeners)
        engine.apply(snapshot.to_core(), 0.0)
        await listeners.commit(change)
        address = listeners.addresses()["edge"]
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        while not driver.connections:
            await asyncio.sleep(0)
        (connection,) = driver.connections.values()
        connection.write = panic
        writer.write(b"no request\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert driver.failures.bugs == 1
        assert (await ask(address, "/fine")).status == 200
        writer.close()
        listeners.close()
        await driver.stop()
