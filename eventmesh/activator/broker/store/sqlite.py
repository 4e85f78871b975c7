"""The embedded store: one SQLite file in WAL mode with full sync, so that a commit is on disk when it returns."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from eventmesh.activator.broker.store.api import (
    CorruptStore,
    DeadLetter,
    NewEvent,
    Outcome,
    Progress,
    Settlement,
    StoredEvent,
    StoreError,
)
from eventmesh.activator.broker.store.committer import Committer
from eventmesh.activator.broker.store.records import Record, from_record, to_record
from eventmesh.base.clock import Clock

SCHEMA_VERSION = 1
TRIM_BATCH = 5_000
"""Events deleted in one transaction: deleting a large backlog must not hold up acceptance."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  sequence INTEGER PRIMARY KEY, accepted_at REAL NOT NULL, broker TEXT NOT NULL,
  attributes TEXT NOT NULL, carried TEXT NOT NULL, data BLOB, checksum INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS events_of_broker ON events (broker, sequence);
CREATE TABLE IF NOT EXISTS triggers (uid TEXT PRIMARY KEY, broker TEXT NOT NULL, cursor INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ahead (
  uid TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (uid, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
  uid TEXT NOT NULL, sequence INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (uid, sequence)) WITHOUT ROWID;
"""
_COLUMNS = "sequence, accepted_at, broker, attributes, carried, data, checksum"


class SqliteStore:
    """An `EventStore` in one file. One process at a time: a second one is refused."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open or create the store; raises StoreError when it is in use, CorruptStore when it is damaged."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._lock = _lock(path)
        try:
            writer = _connect(path)
            self._reader = _connect(path)
            self._last = _verify(writer, path)
        except apsw.Error as error:
            os.close(self._lock)
            raise CorruptStore(f"event store {path} cannot be opened: {error}; restore it, or move it away") from error
        except StoreError:
            os.close(self._lock)
            raise
        self.committer = Committer(writer, path.stem)

    async def append(self, new: NewEvent) -> StoredEvent:
        """Return once the event is on disk."""
        accepted_at = self._clock.now().timestamp()
        return await self.committer.write(lambda connection: self._insert(connection, accepted_at, new))

    def _insert(self, connection: apsw.Connection, accepted_at: float, new: NewEvent) -> StoredEvent:
        # Only the committer's thread comes here. The number is read, not counted in memory: a transaction that was
        # rolled back must leave no gap.
        (last,) = next(iter(connection.execute("SELECT max(sequence) FROM events")))
        sequence = max(last or 0, self._last) + 1
        record = to_record(sequence, accepted_at, new)
        connection.execute(
            f"INSERT INTO events ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)",  # noqa: S608  # a constant list of columns
            (
                record.sequence,
                record.accepted_at,
                record.broker,
                record.attributes,
                record.carried,
                record.data,
                record.checksum,
            ),
        )
        return StoredEvent(sequence, accepted_at, new.broker, new.event, new.carried)

    async def read(self, broker: str, after: int, limit: int) -> Sequence[StoredEvent]:
        """Return events of `broker` beyond `after`, in order."""
        return await asyncio.to_thread(self._read, broker, after, limit)

    def _read(self, broker: str, after: int, limit: int) -> list[StoredEvent]:
        sql = f"SELECT {_COLUMNS} FROM events WHERE broker = ? AND sequence > ? ORDER BY sequence LIMIT ?"  # noqa: S608
        return [from_record(Record(*row)) for row in self._query(sql, (broker, after, limit))]

    def _query(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
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

    async def dead_letters(self, broker: str) -> Sequence[DeadLetter]:
        """Return what stayed undelivered, oldest first."""
        return await asyncio.to_thread(self._dead_letters, broker)

    def _dead_letters(self, broker: str) -> list[DeadLetter]:
        columns = ", ".join(f"events.{name}" for name in _COLUMNS.split(", "))
        sql = (
            f"SELECT uid, reason, {columns} FROM dead_letters JOIN events USING (sequence)"  # noqa: S608
            " WHERE events.broker = ? ORDER BY events.sequence"
        )
        return [
            DeadLetter(str(uid), from_record(Record(*row)), str(reason))
            for uid, reason, *row in self._query(sql, (broker,))
        ]

    async def trim(self) -> int:
        """Delete the oldest events that nobody waits for."""
        return await self.committer.write(_trim)

    async def close(self) -> None:
        """Commit what waits, close both connections, give the file free."""
        await asyncio.to_thread(self.committer.close)
        self._reader.close()
        os.close(self._lock)


def _settle(connection: apsw.Connection, settlements: Sequence[Settlement]) -> None:
    touched = set()
    for end in settlements:
        if not list(connection.execute("SELECT 1 FROM triggers WHERE uid = ?", (end.trigger,))):
            continue
        connection.execute("INSERT OR IGNORE INTO ahead VALUES (?,?)", (end.trigger, end.sequence))
        if end.outcome is Outcome.KEPT:
            kept = (end.trigger, end.sequence, end.reason)
            connection.execute("INSERT OR REPLACE INTO dead_letters VALUES (?,?,?)", kept)
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
                    ON e.broker = t.broker AND e.sequence > t.cursor), 9223372036854775807),
          coalesce((SELECT min(sequence) FROM dead_letters), 9223372036854775807))
        ORDER BY sequence LIMIT ?)"""
    connection.execute(sql, (TRIM_BATCH,))
    return int(connection.changes())


def _connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5_000)
    # FULL: the log is synced at each commit, before the 202. NORMAL would sync at checkpoints only.
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000")
    return connection


def _lock(path: Path) -> int:
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise StoreError(
            f"event store {path} is in use by another process: stop it, or choose another --data-dir"
        ) from error
    return handle


def _verify(connection: apsw.Connection, path: Path) -> int:
    """Create the schema or check what is there; return the last sequence."""
    ((version,),) = connection.execute("PRAGMA user_version")
    if version not in (0, SCHEMA_VERSION):
        raise StoreError(f"event store {path} has format {version}; this version of eventmesh reads {SCHEMA_VERSION}")
    connection.execute(_SCHEMA)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    ((first, last, count),) = connection.execute("SELECT min(sequence), max(sequence), count(*) FROM events")
    if count and last - first + 1 != count:
        missing = last - first + 1 - count
        raise CorruptStore(
            f"event store {path} lacks {missing} of the events {first} to {last}: restore it from a copy"
        )
    return int(last or 0)
