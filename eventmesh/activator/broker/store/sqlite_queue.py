"""The queue of every trigger in the embedded store."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import apsw

from eventmesh.activator.broker.store.changes import Write
from eventmesh.activator.broker.store.errors import DamagedEvent
from eventmesh.activator.broker.store.notes import note
from eventmesh.activator.broker.store.queue import Due, Origin, QueuedEvent, Redriven, Selection
from eventmesh.activator.broker.store.records import COLUMNS, Record, from_record
from eventmesh.activator.broker.store.sqlite_history import of_broker, without_data
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.base.frozen import frozen

Read = Callable[[str, tuple[object, ...]], Awaitable[list[tuple[Any, ...]]]]
"""Runs a statement on a reading connection, off the event loop."""

REDRIVE_BATCH = 100
"""Dead letters moved in one transaction: 100 MiB at the most that are read and written meanwhile."""

MAX_REDRIVEN = 10_000
"""Dead letters of one order; who has more gives it again."""

_ENTRY = f"entry, uid, due, origin, {COLUMNS}"

_ENTRIES = f"""
  SELECT {_ENTRY} FROM queued WHERE entry IN (
    SELECT entry FROM (
      SELECT entry, coalesce(sum(length(data)) OVER (
        ORDER BY due, entry ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS size_before
      FROM queued WHERE entry IN (SELECT value FROM json_each(?)))
    WHERE size_before < ?)"""  # noqa: S608  # constants
"""However many they are it is one statement, prepared once. SQLite knows the length of what it does not read."""

_MOVE = f"""
  INSERT INTO queued (uid, due, origin, {COLUMNS})
  SELECT uid, ?, ?, {COLUMNS} FROM dead_letters WHERE uid = ? AND sequence = ?"""  # noqa: S608  # constants


_ORIGINS = {origin.value: origin for origin in Origin}


class SqliteQueue:
    """An `EventQueue` in the file of a `SqliteStore`."""

    def __init__(self, write: Write, read: Read) -> None:
        self._write = write
        self._read = read

    async def due(
        self, trigger: str, now: float, limit: int, beside: Collection[int] = (), max_bytes: float = math.inf
    ) -> Due:
        """Return what is due at `now`."""
        # Numbers first, which an index holds; then only the copies that are wanted.
        sql = "SELECT entry, due FROM queued WHERE uid = ? ORDER BY due, entry LIMIT ?"
        places = await self._read(sql, (trigger, len(beside) + limit + 1))
        ready = [entry for entry, due in places if due <= now and entry not in beside][:limit]
        later = [due for _, due in places if due > now]
        return Due(await self._entries(ready, max_bytes), later[0] if later else None)

    async def _entries(self, wanted: Sequence[int], max_bytes: float) -> Sequence[QueuedEvent]:
        """Return those of the entries that are still there and that fit, in the order in which they are named."""
        if not wanted:
            return []
        found = {row[0]: _queued(row) for row in await self._read(_ENTRIES, (json.dumps(wanted), max_bytes))}
        return [found[entry] for entry in wanted if entry in found]

    async def entry(self, entry: int) -> QueuedEvent | None:
        """Return one entry."""
        rows = await self._read(f"SELECT {_ENTRY} FROM queued WHERE entry = ?", (entry,))  # noqa: S608
        return _queued(rows[0]) if rows else None

    async def waiting(self, broker: str, limit: int) -> Sequence[QueuedEvent]:
        """Return entries of all triggers, by time."""
        condition, names = of_broker(broker)
        sql = f"SELECT entry FROM queued WHERE {condition} ORDER BY due, entry LIMIT ?"  # noqa: S608
        entries = [await self.entry(entry) for (entry,) in await self._read(sql, (*names, limit))]
        return [_light(entry) for entry in entries if entry is not None]

    async def redrive(self, selection: Selection, now: float, rate_per_s: float = 0.0) -> Sequence[Redriven]:
        """Move dead letters into the queue."""
        moved: list[Redriven] = []
        place: Place | None = (0, "")
        while place is not None and len(moved) < MAX_REDRIVEN:
            # A batch a transaction: nobody who sends an event waits for all of them.
            batch, place = await self._write(Redrive(selection, now, rate_per_s, len(moved), place))
            moved += batch
        return moved


Place = tuple[int, str]
"""Sequence and UID of a dead letter."""


@frozen
class Redrive:
    """A batch of dead letters goes into the queue."""

    selection: Selection
    now: float
    rate_per_s: float
    before: int
    """How many were moved already."""
    after: Place
    """Only letters behind it."""

    def apply(self, connection: apsw.Connection) -> tuple[list[Redriven], Place | None]:
        """Return those that were moved, and the place to go on from."""
        moved: list[Redriven] = []
        rows = self._letters(connection)
        for uid, name, *row in rows:
            stored = _stored(Record(*row))
            if stored is None or self.selection.event_id not in ("", stored.event.id):
                continue
            due = self.now + (self.before + len(moved)) / self.rate_per_s if self.rate_per_s else self.now
            moved.append(Redriven(uid, name, stored.sequence, stored.event.id, due))
        for letter in moved:
            _requeue(connection, letter, self.now)
        return moved, (rows[-1][2], rows[-1][0]) if len(rows) == REDRIVE_BATCH else None

    def _letters(self, connection: apsw.Connection) -> list[tuple[Any, ...]]:
        condition, names = of_broker(self.selection.broker)
        values: list[object] = [*names, *self.after]
        condition += " AND (sequence, uid) > (?, ?)"
        if self.selection.trigger:
            condition += " AND name = ?"
            values.append(self.selection.trigger)
        columns = f"uid, name, {COLUMNS}"
        sql = f"SELECT {columns} FROM dead_letters WHERE {condition} ORDER BY sequence, uid LIMIT ?"  # noqa: S608
        return list(connection.execute(sql, (*values, REDRIVE_BATCH)))


def _requeue(connection: apsw.Connection, letter: Redriven, now: float) -> None:
    key = (letter.trigger, letter.sequence)
    connection.execute(_MOVE, (letter.due, Origin.REDRIVEN.value, *key))
    connection.execute("DELETE FROM dead_letters WHERE uid = ? AND sequence = ?", key)
    note(connection, letter.trigger, letter.name, letter.sequence, now, Origin.REDRIVEN.value)


def _queued(row: tuple[Any, ...]) -> QueuedEvent:
    entry, uid, due, origin, *columns = row
    record = Record(*columns)
    return QueuedEvent(entry, uid, due, _ORIGINS[origin], record.sequence, _stored(record))


def _light(entry: QueuedEvent) -> QueuedEvent:
    return replace(entry, stored=None if entry.stored is None else without_data(entry.stored))


def _stored(record: Record) -> StoredEvent | None:
    try:
        return from_record(record)
    except DamagedEvent:
        return None
