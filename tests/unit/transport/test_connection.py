"""What a connection is to the interpreter; what it does with sockets is in tests/component."""

from __future__ import annotations

import asyncio
import gc
import weakref

from eventmesh.base.clock import SystemClock
from eventmesh.core import Engine
from eventmesh.transport.connection import DialledConnection
from eventmesh.transport.driver import Driver


async def test_a_driver_whose_connections_were_never_lost_is_freed_with_them() -> None:
    def forgotten() -> weakref.ref[Driver]:
        driver = Driver(Engine(1), {}, SystemClock())
        driver.connections[1] = DialledConnection(driver, 1, is_unix=False)
        return weakref.ref(driver)

    driver = forgotten()
    await asyncio.sleep(0)
    gc.collect()
    assert driver() is None
