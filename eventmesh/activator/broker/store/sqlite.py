"""The embedded store: one SQLite file in WAL mode with full sync, so that a commit is on disk when it returns."""

from __future__ import annotations

import asyncio
import math
import os
import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw

from eventmesh.activator.broker.store.api import Elsewhere
from eventmesh.activator.broker.store.arrivals import Arrival, Arrivals
from eventmesh.activator.broker.store.changes import Change
from eventmesh.activator.broker.store.committer import Committer
from eventmesh.activator.broker.store.duplicates import ForgetSeen
from eventmesh.activator.broker.store.errors import DamagedEvent, StoreError
from eventmesh.activator.broker.store.insertion import insert
from eventmesh.activator.broker.store.opening import connect, lock, make_directory, open_database
from eventmesh.activator.broker.store.places import ForgetTrigger, OpenTrigger
from eventmesh.activator.broker.store.records import BY_SEQUENCE, COLUMNS, Record, encode, from_record, from_rows
from eventmesh.activator.broker.store.settling import Settle
from eventmesh.activator.broker.store.shares import Alone
from eventmesh.activator.broker.store.sqlite_history import SqliteHistory
from eventmesh.activator.broker.store.sqlite_queue import SqliteQueue
from eventmesh.activator.broker.store.sqlite_replays import SqliteReplays
from eventmesh.activator.broker.store.trimming import Trim, TrimAttempts, first_kept, next_tombstones
from eventmesh.activator.broker.store.values import (
    KEEP_NOTHING,
    Attempt,
    NewEvent,
    Progress,
    Retention,
    Settlement,
    StoredEvent,
)
from eventmesh.base.clock import Clock

T = TypeVar("T")

LOOK_AGAIN_S = 3_600.0
"""What was waited for when it was looked at for tombstones is looked at again after so long."""


class SqliteStore:
    """An `EventStore` in one file. One process at a time: a second one is refused."""

    def __init__(self, path: Path, clock: Clock, *, synced: bool = True) -> None:
        """Open or create the store; raises StoreError when it is in use, CorruptStore when it is damaged.

        Not `synced`, what was committed last may be gone after a power cut: for what is written elsewhere as well.
        """
        make_directory(path.parent)
        self._clock = clock
        self._lock = lock(path)
        try:
            opened = open_database(path)
        except BaseException:
            os.close(self._lock)
            raise
        if not synced:
            opened.connection.pragma("synchronous", "NORMAL")
        self._upkeep = opened.upkeep
        self._reader = connect(path)
        self._reading = threading.Lock()
        self.committer = Committer(opened.connection, path.stem, opened.upkeep)
        self.history = SqliteHistory(connect(path), opened.upkeep)
        """For people: what was accepted and what became of it."""
        self.queue = SqliteQueue(self.write, self.history.read)
        self.replays = SqliteReplays(self.write, self.history.read)
        self.shares = Alone()
        self.kept_in = "SQLite, synced by the activator"
        self.doubts: Sequence[str] = ()
        self._arrivals = Arrivals(self.committer, insert)
        self._buried_to, self._look_again_at = 0, 0.0
        """How far it has been looked for tombstones, and when (seconds since the epoch) that begins anew."""

    def follow(self, listener: Elsewhere) -> None:
        """Do nothing: nobody else has the file."""

    async def write(self, change: Change[T]) -> T:
        """Return what the change returned, once it is on disk; raises StoreError."""
        return await self.committer.write(change.apply)

    async def append(self, new: NewEvent) -> StoredEvent:
        """Return once the event is on disk."""
        return await self._arrivals.append(Arrival(new, encode(new), self._clock.now().timestamp()))

    async def event(self, sequence: int) -> StoredEvent | None:
        """Return one event."""
        return await asyncio.to_thread(self._event, sequence)

    def _event(self, sequence: int) -> StoredEvent | None:
        return from_rows(self._query(BY_SEQUENCE, (sequence,)))

    async def read(self, broker: str, after: int, limit: int, max_bytes: float = math.inf) -> Sequence[StoredEvent]:
        """Return events of `broker` beyond `after`, in order."""
        return await asyncio.to_thread(self._read, broker, after, limit, max_bytes)

    def _read(self, broker: str, after: int, limit: int, max_bytes: float) -> list[StoredEvent]:
        sql = f"SELECT {COLUMNS} FROM events WHERE broker = ? AND sequence > ? ORDER BY sequence LIMIT ?"  # noqa: S608
        found: list[StoredEvent] = []
        size = 0
        with closing(self._scan(sql, (broker, after, limit))) as rows:
            for row in rows:
                try:
                    found.append(_of(broker, Record(*row)))
                except DamagedEvent as error:
                    raise DamagedEvent(error.sequence, error.problem, found) from error
                size += found[-1].size
                if size >= max_bytes:
                    break
        return found

    def _query(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        return list(self._scan(sql, values))

    def _scan(self, sql: str, values: tuple[object, ...]) -> Generator[tuple[Any, ...], None, None]:
        """Yield the rows of a statement one by one; who has enough closes it."""
        self._upkeep.refuse()
        try:
            with self._reading:
                yield from self._reader.execute(sql, values)
        except apsw.Error as error:
            raise StoreError(f"the event store could not be read: {error}") from error

    async def open_trigger(self, trigger: str, broker: str, start_at: float | None = None) -> Progress:
        """Return how far the trigger is; a new one starts behind the last event, or where it wants to."""
        return await self.write(OpenTrigger(trigger, broker, start_at))

    async def settle(self, settlements: Sequence[Settlement], attempts: Sequence[Attempt] = ()) -> None:
        """Record ends and move cursors over what is settled without a gap."""
        now = self._clock.now().timestamp()
        await self.write(Settle(settlements, attempts, now))

    async def forget_trigger(self, trigger: str) -> None:
        """Drop what is known of a trigger, its dead letters included."""
        await self.write(ForgetTrigger(trigger))

    async def triggers(self) -> Sequence[str]:
        """Return the UIDs of all triggers that have a place."""
        rows = await asyncio.to_thread(self._query, "SELECT uid FROM triggers", ())
        return [str(uid) for (uid,) in rows]

    async def trim(self, retention: Retention = KEEP_NOTHING) -> int:
        """Delete the oldest events that nobody waits for and that need not be kept, with their attempts."""
        if not self._upkeep.verified:
            # Which these are may look wrong in a damaged store.
            return 0
        now = self._clock.now().timestamp()
        before = await self.committer.write(lambda connection: first_kept(connection, retention, now))
        gone = await self.write(Trim(before)) if before else 0
        gone = gone or await self._bury(retention, now)
        while await self.write(TrimAttempts()):
            pass
        while await self.write(ForgetSeen(now)):
            pass
        return gone

    async def _bury(self, retention: Retention, now: float) -> int:
        """Leave tombstones of a batch of what lies behind an event that has to stay; return how many events went."""
        if now >= self._look_again_at:
            self._buried_to, self._look_again_at = 0, now + LOOK_AGAIN_S
        while True:
            stones = await self.committer.write(
                partial(next_tombstones, retention=retention, now=now, place=self._buried_to)
            )
            if stones is None:
                return 0
            gone = await self.write(stones)
            if gone < stones.most:
                self._buried_to = stones.before - 1
            if gone:
                return gone

    async def close(self) -> None:
        """Commit what waits, close both connections, give the file free."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        # A read may still be going on for somebody who no longer waits for it.
        with self._reading:
            self._reader.close()
        self.history.close()
        # The writer last: it copies the log into the database and removes it.
        self.committer.close()
        os.close(self._lock)


def _of(broker: str, record: Record) -> StoredEvent:
    """Return the event of a row that the index has under `broker`; raises DamagedEvent."""
    stored = from_record(record)
    if stored.broker != broker:
        raise DamagedEvent(record.sequence, f"of broker {stored.broker} lies among those of {broker}")
    return stored
