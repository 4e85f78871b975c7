"""Events on their way to disk: those that come while a commit is synced go into the next one by one statement.

One statement for many rows, because each call into SQLite gives the interpreter's lock away: under load the committing
thread would wait for it once an event, and again for the next.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import apsw

from eventmesh.activator.broker.store.committer import Committer
from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.records import Encoded
from eventmesh.activator.broker.store.values import NewEvent, StoredEvent
from eventmesh.base.frozen import frozen

MAX_TOGETHER = 512
"""Events of one insertion. More would make the first of them wait longer than the sync it saves."""

MAX_WAITING = 20_000
"""Events that may wait for the disk; one more is refused, so that a stalled disk costs bounded memory."""


@frozen
class Arrival:
    """An event that waits for the disk."""

    new: NewEvent
    encoded: Encoded
    accepted_at: float


Insert = Callable[[apsw.Connection, Sequence[Arrival]], list[StoredEvent]]
"""Inserts all of them or raises; runs in the committer's thread."""


@dataclass(slots=True)
class _Batch:
    arrivals: list[Arrival] = field(default_factory=list)
    futures: list[asyncio.Future[StoredEvent]] = field(default_factory=list)
    closed: bool = False


class Arrivals:
    """Gathers the events of one event loop."""

    def __init__(self, committer: Committer, insert: Insert) -> None:
        self._committer = committer
        self._insert = insert
        self._lock = threading.Lock()
        # Guards `closed` against an event that comes in the same moment.
        self._open = _Batch(closed=True)
        self._waiting = 0

    async def append(self, arrival: Arrival) -> StoredEvent:
        """Return once the event is on disk; raises StoreError."""
        if self._waiting >= MAX_WAITING:
            raise StoreError(f"more than {MAX_WAITING} events wait for the disk: try again later")
        future: asyncio.Future[StoredEvent] = asyncio.get_running_loop().create_future()
        if not self._join(arrival, future):
            batch = _Batch([arrival], [future])
            done = self._committer.submit(lambda connection: self._insert(connection, self._close(batch)))
            self._open = batch
            done.add_done_callback(lambda done: _hand_out(batch, done))
        self._waiting += 1
        try:
            return await future
        finally:
            self._waiting -= 1

    def _join(self, arrival: Arrival, future: asyncio.Future[StoredEvent]) -> bool:
        with self._lock:
            batch = self._open
            if batch.closed or len(batch.arrivals) >= MAX_TOGETHER:
                return False
            batch.arrivals.append(arrival)
            batch.futures.append(future)
            return True

    def _close(self, batch: _Batch) -> Sequence[Arrival]:
        with self._lock:
            batch.closed = True
        return batch.arrivals


def _hand_out(batch: _Batch, done: asyncio.Future[list[StoredEvent]]) -> None:
    if done.cancelled():
        # The event loop ends, and with it whoever waits.
        return
    error = done.exception()
    for at, future in enumerate(batch.futures):
        # One whose sender has gone away waits no more.
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(done.result()[at])
