"""A work queue as controllers need it: each key once, never two workers on one key, retries that back off.

The rules are those of `k8s.io/client-go/util/workqueue`: a key added while it is worked on is worked on
once more afterwards; a key added twice before it is taken is taken once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Generic, TypeVar

from eventmesh.base.backoff import exponential_s
from eventmesh.base.clock import Clock
from eventmesh.base.tasks import TaskGroup

K = TypeVar("K", bound=object)

FIRST_RETRY_S = 0.005
"""client-go's own: most failures are conflicts, gone after one more read."""
RETRY_CAP_S = 30.0
"""A broken object is looked at twice a minute; client-go's 1000 s is too long for somebody who waits."""


class QueueClosed(Exception):
    """The queue was closed; its worker ends."""


class WorkQueue(Generic[K]):
    """Keys waiting to be worked on, in the order of their first adding."""

    def __init__(
        self, name: str, clock: Clock, *, first_retry_s: float = FIRST_RETRY_S, retry_cap_s: float = RETRY_CAP_S
    ) -> None:
        self._clock = clock
        self._first_retry_s = first_retry_s
        self._retry_cap_s = retry_cap_s
        self._tasks = TaskGroup(f"queue.{name}")
        self._waiting: OrderedDict[K, None] = OrderedDict()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._delayed: dict[K, tuple[float, asyncio.Task[None]]] = {}
        self._closed = False
        self._takers: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        """Return how many keys wait to be taken."""
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Have `key` worked on as soon as a worker is free."""
        if self._closed:
            return
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = None
            self._wake_one()

    def add_after(self, key: K, seconds: float) -> None:
        """Add `key` after `seconds`; of several such calls the earliest time counts."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        pending = self._delayed.get(key)
        if pending is not None:
            if pending[0] <= due:
                return
            pending[1].cancel()
        self._delayed[key] = (due, self._tasks.spawn(f"delay {key}", self._add_later(key, seconds)))

    def add_rate_limited(self, key: K) -> float:
        """Add `key` after its own back-off, which doubles until `forget`; return the wait in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        wait = exponential_s(failures, self._first_retry_s, self._retry_cap_s)
        self.add_after(key, wait)
        return wait

    def forget(self, key: K) -> None:
        """Let the next failure of `key` start from the shortest wait again."""
        self._failures.pop(key, None)

    async def take(self) -> K:
        """Return the next key, to be given back with `done`; raises QueueClosed when the queue is closed."""
        while not self._waiting:
            if self._closed:
                raise QueueClosed
            taker = asyncio.get_running_loop().create_future()
            self._takers.append(taker)
            try:
                await taker
            except asyncio.CancelledError:
                # A wake-up that reached a cancelled worker belongs to the next one.
                if taker.done() and not taker.cancelled():
                    self._wake_one()
                raise
        key, _ = self._waiting.popitem(last=False)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """Give `key` back; it is queued again at once when it was added meanwhile."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    async def close(self) -> None:
        """Drop everything that waits, and end every `take`."""
        self._closed = True
        self._waiting.clear()
        self._again.clear()
        self._delayed.clear()
        while self._takers:
            self._wake_one()
        await self._tasks.stop()

    async def _add_later(self, key: K, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._delayed.pop(key, None)
        self.add(key)

    def _wake_one(self) -> None:
        while self._takers:
            taker = self._takers.pop(0)
            if not taker.done():
                taker.set_result(None)
                return
