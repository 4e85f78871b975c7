"""Virtual time: a clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

SETTLE_ROUNDS = 50
"""How many turns of the event loop tasks get to go as far as they can; plenty for a handful of hops."""


class ManualClock:
    """A `Clock` whose sleepers wake only in `advance`, in the order of their times."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self._elapsed

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._elapsed)

    def unix_s(self) -> float:
        return self.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._count, wake))
        await wake

    async def advance(self, seconds: float) -> None:
        """Move time on, waking each sleeper at its own moment and letting every task run as far as it can."""
        await settle()
        end = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, wake = heapq.heappop(self._sleepers)
            self._elapsed = at
            if not wake.done():
                wake.set_result(None)
            await settle()
        self._elapsed = end


async def settle() -> None:
    """Let every task that can run do so, without any time passing."""
    for _ in range(SETTLE_ROUNDS):
        await asyncio.sleep(0)
