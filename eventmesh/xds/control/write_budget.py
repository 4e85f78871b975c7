"""How many bytes may be on their way to all clients together: what a connect storm and slow readers cost at most.

A response stays in memory until its client has read it. Thousands that connect at once are therefore served in turn,
and one that does not read gives way as soon as another waits for its place. Changes are small and never wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
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
"""A client that has not read FAIR_BYTES more of its response by then, or the rest of it, is disconnected when another
needs the room; it may come back."""

FAIR_BYTES: Final = 131_072
"""What a client reads in STALL_S even at a quarter of a megabit a second. Not all of the response: of a hundred that
are written at once on a busy machine, some did not get their 600 KB in that time. Who reads as slowly as that holds the
room of 600 KB for half a minute."""


GRACE_TURNS: Final = 16
"""Turns of the loop in which a client must have read SMALL_BYTES that seems too slow. When thousands connect at once,
one turn takes seconds: it is then we who are slow, and whoever reads moves on with every turn."""


class SlowReaderError(Exception):
    """The client has not read what it was sent, and others wait for the room that takes: end its stream."""


@dataclass(slots=True, eq=False)
class _Write:
    bytes: int
    since: float
    """When its client had read another FAIR_BYTES, or it began."""
    patience: asyncio.Timeout
    left: int = 0
    """Bytes that have left since."""
    all_left: int = 0
    """Bytes that have left."""


class WriteBudget:
    """The room that the large responses of one server share, first come, first served."""

    def __init__(self, clock: Clock, limit: int = MAX_UNDER_WAY_BYTES) -> None:
        self._clock = clock
        self._limit = limit
        self._bytes = 0
        self._writes: dict[_Write, None] = {}
        """Under way, first those whose clients have read nothing for the longest time."""
        self._turn = asyncio.Lock()
        self._moved = asyncio.Event()

    @property
    def under_way(self) -> int:
        """Return the bytes of the large responses that are being written."""
        return self._bytes

    @asynccontextmanager
    async def share(self, size: int) -> AsyncIterator[Callable[[int], None]]:
        """Hold room for a response of `size` bytes while it is written; wait for it first.

        Gives what is to be told of bytes that have left. Raises SlowReaderError when too few have for STALL_S and
        somebody else waits.
        """
        if size <= SMALL_BYTES:
            yield lambda left: None
            return
        patience = asyncio.timeout(None)
        async with self._turn:
            await self._room(size)
            write = _Write(size, self._clock.monotonic(), patience)
            self._writes[write] = None
            self._bytes += size
        try:
            async with patience:
                yield lambda left: self._has_left(write, left)
        except TimeoutError:
            if not patience.expired():
                raise
            raise SlowReaderError(f"{size} bytes were read too slowly, or not at all, while others waited") from None
        finally:
            del self._writes[write]
            self._bytes -= size
            self._moved.set()

    async def _is_stuck(self, write: _Write) -> bool:
        """Return whether a client that seems too slow does not read, rather than we do not write."""
        before = write.all_left
        for _ in range(GRACE_TURNS):
            await asyncio.sleep(0)
        if write not in self._writes:
            return False
        if write.all_left - before >= SMALL_BYTES:
            self._fair(write)
            return False
        return True

    def _has_left(self, write: _Write, left: int) -> None:
        write.left += left
        write.all_left += left
        if write.left >= FAIR_BYTES:
            self._fair(write)

    def _fair(self, write: _Write) -> None:
        write.left, write.since = 0, self._clock.monotonic()
        del self._writes[write]
        self._writes[write] = None

    async def _room(self, size: int) -> None:
        while self._writes and self._bytes + size > self._limit:
            oldest = next(iter(self._writes))
            left_s = oldest.since + STALL_S - self._clock.monotonic()
            self._moved.clear()
            if left_s <= 0:
                # One that has been told may take a while to end, and others may end meanwhile.
                if not oldest.patience.expired():
                    if not await self._is_stuck(oldest):
                        continue
                    oldest.patience.reschedule(asyncio.get_running_loop().time())
                await self._moved.wait()
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._moved.wait()
