"""Whether a data plane serves: its admin page `/ready`, asked until it says yes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from eventmesh.base.clock import Clock

PAUSE_S: Final = 0.01
ANSWER_S: Final = 1.0
"""A page of our own on the loopback answers at once; what takes longer hangs."""


async def is_live(address: str) -> bool:
    """Return whether the data plane with the admin `address` has a configuration and serves it."""
    host, _, port = address.rpartition(":")
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(b"GET /ready HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
                status = await reader.readline()
            finally:
                writer.close()
            return status.split(b" ", 2)[1:2] == [b"200"]
    return False


async def until_live(address: str, clock: Clock) -> None:
    """Return as soon as `is_live`."""
    while not await is_live(address):
        await clock.sleep(PAUSE_S)
