"""How many bytes may be on their way to all clients together: what a connect storm and slow readers cost at most.

A response stays in memory until its client has read it. Thousands that connect at once are therefore served in turn,
and one that does not read gives way as soon as another waits for its place. Changes are small and never wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from eventmesh.base.clock import Clock

MAX_UNDER_WAY_BYTES: Final = 67_108_864
"""64 MiB: a hundred clients at a time are told of a thousand services. One larger response goes alone."""

SMALL_BYTES: Final = 16_384
"""Responses up to this size do not count. One for each type can be under way to a client, so that is bounded as well,
and no change may wait for strangers who read slowly."""

STALL_S: Final = 5.0
"""A client that has not read its response by then is disconnected when another needs the room; it may come back. At a
megabit a second, 600 KB take as long."""


class SlowReaderError(Exception):
    """The client has not read what it was sent, and others wait for the room that takes: end its stream."""


@dataclass(slots=True, eq=False)
class _Write:
    bytes: int
    began: float
    patience: asyncio.Timeout


class WriteBudget:
    """The room that the large responses of one server share, first come, first served."""

    def __init__(self, clock: Clock, limit: int = MAX_UNDER_WAY_BYTES) -> None:
        self._clock = clock
        self._limit = limit
        self._bytes = 0
        self._writes: dict[_Write, None] = {}
        """Under way, the oldest first."""
        self._turn = asyncio.Lock()
        self._moved = asyncio.Event()

    @property
    def under_way(self) -> int:
        """Return the bytes of the large responses that are being written."""
        return self._bytes

    @asynccontextmanager
    async def share(self, size: int) -> AsyncIterator[None]:
        """Hold room for a response of `size` bytes while it is written; wait for it first.

        Raises SlowReaderError when writing has taken STALL_S and somebody else waits.
        """
        if size <= SMALL_BYTES:
            yield
            return
        patience = asyncio.timeout(None)
        async with self._turn:
            await self._room(size)
            write = _Write(size, self._clock.monotonic(), patience)
            self._writes[write] = None
            self._bytes += size
        try:
            async with patience:
                yield
        except TimeoutError:
            if not patience.expired():
                raise
            raise SlowReaderError(f"{size} bytes were not read within {STALL_S:.0f} s while others waited") from None
        finally:
            del self._writes[write]
            self._bytes -= size
            self._moved.set()

    async def _room(self, size: int) -> None:
        while self._writes and self._bytes + size > self._limit:
            oldest = next(iter(self._writes))
            left_s = oldest.began + STALL_S - self._clock.monotonic()
            self._moved.clear()
            if left_s <= 0:
                # One that has been told may take a while to end, and others may end meanwhile.
                if not oldest.patience.expired():
                    oldest.patience.reschedule(asyncio.get_running_loop().time())
                await self._moved.wait()
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._moved.wait()
