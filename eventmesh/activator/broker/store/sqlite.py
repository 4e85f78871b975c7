"""The embedded store: one SQLite file in WAL mode with full sync, so that a commit is on disk when it returns."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from eventmesh.activator.broker.store.api import (
    DamagedEvent,
    DeadLetter,
    NewEvent,
    Outcome,
    Progress,
    Settlement,
    StoredEvent,
    StoreError,
)
from eventmesh.activator.broker.store.arrivals import Arrival, Arrivals
from eventmesh.activator.broker.store.committer import Committer
from eventmesh.activator.broker.store.opening import connect, lock, make_directory, open_database
from eventmesh.activator.broker.store.records import Record, encode, from_record, with_sequence
from eventmesh.base.clock import Clock

TRIM_BATCH = 5_000
"""Events deleted in one transaction: deleting a large backlog must not hold up acceptance."""

_COLUMNS = "sequence, accepted_at, broker, attributes, carried, data, checksum"
_KEEP = f"INSERT OR REPLACE INTO dead_letters SELECT ?, ?, {_COLUMNS} FROM events WHERE sequence = ?"  # noqa: S608

_INSERT_SIZES = (64, 16, 4, 1)
"""Rows of one statement: few sizes, so that each is prepared once."""
_INSERTS = {
    size: f"INSERT INTO events ({_COLUMNS}) VALUES {','.join(['(?,?,?,?,?,?,?)'] * size)}"  # noqa: S608  # constants
    for size in _INSERT_SIZES
}


class SqliteStore:
    """An `EventStore` in one file. One process at a time: a second one is refused."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open or create the store; raises StoreError when it is in use, CorruptStore when it is damaged."""
        make_directory(path.parent)
        self._clock = clock
        self._lock = lock(path)
        try:
            writer, self._last = open_database(path)
        except StoreError:
            os.close(self._lock)
            raise
        self._reader = connect(path)
        self._reading = threading.Lock()
        self.committer = Committer(writer, path.stem)
        self._arrivals = Arrivals(self.committer, self._insert)

    async def append(self, new: NewEvent) -> StoredEvent:
        """Return once the event is on disk."""
        return await self._arrivals.append(Arrival(new, encode(new), self._clock.now().timestamp()))

    def _insert(self, connection: apsw.Connection, arrivals: Sequence[Arrival]) -> list[StoredEvent]:
        # Only the committer's thread comes here. The number is read, not counted in memory: a transaction that was
        # rolled back must leave no gap.
        (last,) = next(iter(connection.execute("SELECT max(sequence) FROM events")))
        sequences = range(max(last or 0, self._last) + 1, max(last or 0, self._last) + 1 + len(arrivals))
        rows = [_row(sequence, arrival) for sequence, arrival in zip(sequences, arrivals, strict=True)]
        at = 0
        for size in _INSERT_SIZES:
            while len(rows) - at >= size:
                values = [value for row in rows[at : at + size] for value in row]
                connection.execute(_INSERTS[size], values)
                at += size
        return [
            StoredEvent(sequence, arrival.accepted_at, arrival.new.broker, arrival.new.event, arrival.new.carried)
            for sequence, arrival in zip(sequences, arrivals, strict=True)
        ]

    async def read(self, broker: str, after: int, limit: int) -> Sequence[StoredEvent]:
        """Return events of `broker` beyond `after`, in order."""
        return await asyncio.to_thread(self._read, broker, after, limit)

    def _read(self, broker: str, after: int, limit: int) -> list[StoredEvent]:
        sql = f"SELECT {_COLUMNS} FROM events WHERE broker = ? AND sequence > ? ORDER BY sequence LIMIT ?"  # noqa: S608
        found: list[StoredEvent] = []
        for row in self._query(sql, (broker, after, limit)):
            try:
                found.append(from_record(Record(*row)))
            except DamagedEvent as error:
                raise DamagedEvent(error.sequence, error.problem, found) from error
        return found

    def _query(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            with self._reading:
                return list(self._reader.execute(sql, values))
        except apsw.Error as error:
            raise StoreError(f"the event store could not be read: {error}") from error

    async def open_trigger(self, trigger: str, broker: str) -> Progress:
        """Return how far the trigger is; a new one starts behind the last event."""
        return await self.committer.write(lambda connection: self._open_trigger(connection, trigger, broker))

    def _open_trigger(self, connection: apsw.Connection, trigger: str, broker: str) -> Progress:
        known = list(connection.execute("SELECT cursor FROM triggers WHERE uid = ?", (trigger,)))
        if known:
            ahead = connection.execute("SELECT sequence FROM ahead WHERE uid = ?", (trigger,))
            return Progress(int(known[0][0]), frozenset(int(row[0]) for row in ahead))
        (last,) = next(iter(connection.execute("SELECT max(sequence) FROM events")))
        cursor = max(int(last or 0), self._last)
        connection.execute("INSERT INTO triggers VALUES (?,?,?)", (trigger, broker, cursor))
        return Progress(cursor)

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Record ends and move cursors over what is settled without a gap."""
        await self.committer.write(lambda connection: _settle(connection, settlements))

    async def forget_trigger(self, trigger: str) -> None:
        """Drop what is known of a trigger, its dead letters included."""

        def forget(connection: apsw.Connection) -> None:
            for table in ("triggers", "ahead", "dead_letters"):
                connection.execute(f"DELETE FROM {table} WHERE uid = ?", (trigger,))  # noqa: S608  # constant names

        await self.committer.write(forget)

    async def triggers(self) -> Sequence[str]:
        """Return the UIDs of all triggers that have a place."""
        rows = await asyncio.to_thread(self._query, "SELECT uid FROM triggers", ())
        return [str(uid) for (uid,) in rows]

    async def dead_letters(self, broker: str) -> Sequence[DeadLetter]:
        """Return what stayed undelivered, oldest first."""
        return await asyncio.to_thread(self._dead_letters, broker)

    def _dead_letters(self, broker: str) -> list[DeadLetter]:
        sql = f"SELECT uid, reason, {_COLUMNS} FROM dead_letters WHERE broker = ? ORDER BY sequence"  # noqa: S608
        return [_dead_letter(str(uid), str(reason), Record(*row)) for uid, reason, *row in self._query(sql, (broker,))]

    async def trim(self) -> int:
        """Delete the oldest events that nobody waits for."""
        return await self.committer.write(_trim)

    async def close(self) -> None:
        """Commit what waits, close both connections, give the file free."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        # A read may still be going on for somebody who no longer waits for it.
        with self._reading:
            self._reader.close()
        # The writer last: it copies the log into the database and removes it.
        self.committer.close()
        os.close(self._lock)


def _row(sequence: int, arrival: Arrival) -> tuple[int, float, str, str, str, bytes | None, int]:
    """Return the values of `_COLUMNS`."""
    new, encoded = arrival.new, arrival.encoded
    checksum = with_sequence(encoded.checksum, sequence)
    return (
        sequence,
        arrival.accepted_at,
        new.broker,
        encoded.attributes,
        encoded.carried,
        new.event.data,
        checksum,
    )


def _settle(connection: apsw.Connection, settlements: Sequence[Settlement]) -> None:
    touched = set()
    for end in settlements:
        if not list(connection.execute("SELECT 1 FROM triggers WHERE uid = ?", (end.trigger,))):
            continue
        connection.execute("INSERT OR IGNORE INTO ahead VALUES (?,?)", (end.trigger, end.sequence))
        if end.outcome is Outcome.KEPT:
            connection.execute(_KEEP, (end.trigger, end.reason, end.sequence))
        touched.add(end.trigger)
    for trigger in touched:
        _advance(connection, trigger)


def _advance(connection: apsw.Connection, trigger: str) -> None:
    """Move the cursor to the event before the first unsettled one of its broker."""
    sql = """
      SELECT coalesce(
        (SELECT min(e.sequence) - 1 FROM events e WHERE e.broker = t.broker AND e.sequence > t.cursor
           AND NOT EXISTS (SELECT 1 FROM ahead a WHERE a.uid = t.uid AND a.sequence = e.sequence)),
        (SELECT max(a.sequence) FROM ahead a WHERE a.uid = t.uid), t.cursor)
      FROM triggers t WHERE t.uid = ?"""
    ((cursor,),) = connection.execute(sql, (trigger,))
    connection.execute("UPDATE triggers SET cursor = max(cursor, ?) WHERE uid = ?", (cursor, trigger))
    connection.execute("DELETE FROM ahead WHERE uid = ? AND sequence <= ?", (trigger, cursor))


def _trim(connection: apsw.Connection) -> int:
    # A prefix only, so that the numbers that are left have no gap: a gap then always means damage. The last event
    # stays: it carries the highest number ever used.
    sql = """
      DELETE FROM events WHERE sequence IN (
        SELECT sequence FROM events WHERE sequence < min(
          (SELECT max(sequence) FROM events),
          coalesce((SELECT min(e.sequence) FROM triggers t JOIN events e
                    ON e.broker = t.broker AND e.sequence > t.cursor), 9223372036854775807))
        ORDER BY sequence LIMIT ?)"""
    connection.execute(sql, (TRIM_BATCH,))
    return int(connection.changes())


def _dead_letter(trigger: str, reason: str, record: Record) -> DeadLetter:
    try:
        return DeadLetter(trigger, record.sequence, from_record(record), reason)
    except DamagedEvent:
        # Listed all the same: that it cannot be read is why it is here.
        return DeadLetter(trigger, record.sequence, None, reason)
