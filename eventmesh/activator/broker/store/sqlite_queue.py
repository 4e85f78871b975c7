"""The queue of every trigger in the embedded store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import apsw

from eventmesh.activator.broker.store.api import DamagedEvent, StoredEvent
from eventmesh.activator.broker.store.committer import Committer
from eventmesh.activator.broker.store.notes import note
from eventmesh.activator.broker.store.queue import Due, Origin, QueuedEvent, Redriven, Selection
from eventmesh.activator.broker.store.records import COLUMNS, Record, from_record
from eventmesh.activator.broker.store.sqlite_history import MAX_DEAD_LETTERS, of_broker

Read = Callable[[str, tuple[object, ...]], Awaitable[list[tuple[Any, ...]]]]
"""Runs a statement on a reading connection, off the event loop."""

_ENTRY = f"entry, uid, due, origin, {COLUMNS}"

_MOVE = f"""
  INSERT INTO queued (uid, due, origin, {COLUMNS})
  SELECT uid, ?, ?, {COLUMNS} FROM dead_letters WHERE uid = ? AND sequence = ?"""  # noqa: S608  # constants


class SqliteQueue:
    """An `EventQueue` in the file of a `SqliteStore`."""

    def __init__(self, committer: Committer, read: Read) -> None:
        self._committer = committer
        self._read = read

    async def due(self, trigger: str, now: float, limit: int) -> Due:
        """Return what is due at `now`."""
        sql = f"SELECT {_ENTRY} FROM queued WHERE uid = ? ORDER BY due, entry LIMIT ?"  # noqa: S608
        entries = [_queued(row) for row in await self._read(sql, (trigger, limit + 1))]
        ready = [entry for entry in entries if entry.due <= now]
        later = entries[len(ready) :]
        return Due(ready[:limit], later[0].due if later else None)

    async def entry(self, entry: int) -> QueuedEvent | None:
        """Return one entry."""
        rows = await self._read(f"SELECT {_ENTRY} FROM queued WHERE entry = ?", (entry,))  # noqa: S608
        return _queued(rows[0]) if rows else None

    async def waiting(self, broker: str, limit: int) -> Sequence[QueuedEvent]:
        """Return entries of all triggers, by time."""
        condition, names = of_broker(broker)
        sql = f"SELECT {_ENTRY} FROM queued WHERE {condition} ORDER BY due, entry LIMIT ?"  # noqa: S608
        return [_queued(row) for row in await self._read(sql, (*names, limit))]

    async def redrive(
        self, selection: Selection, now: float, rate_per_s: float = 0.0, *, dry_run: bool = False
    ) -> Sequence[Redriven]:
        """Move dead letters into the queue."""

        def work(connection: apsw.Connection) -> list[Redriven]:
            chosen = _chosen(connection, selection, now, rate_per_s)
            if not dry_run:
                for letter in chosen:
                    _requeue(connection, letter, now)
            return chosen

        return await self._committer.write(work)


def _chosen(connection: apsw.Connection, selection: Selection, now: float, rate_per_s: float) -> list[Redriven]:
    condition, names = of_broker(selection.broker)
    values: list[object] = [*names]
    if selection.trigger:
        condition += " AND name = ?"
        values.append(selection.trigger)
    sql = f"SELECT uid, name, {COLUMNS} FROM dead_letters WHERE {condition} ORDER BY sequence, uid"  # noqa: S608
    chosen: list[Redriven] = []
    for uid, name, *row in connection.execute(sql, tuple(values)):
        if len(chosen) == MAX_DEAD_LETTERS:
            break
        stored = _stored(Record(*row))
        if stored is not None and selection.event_id in ("", stored.event.id):
            due = now + len(chosen) / rate_per_s if rate_per_s else now
            chosen.append(Redriven(uid, name, stored.sequence, stored.event.id, due))
    return chosen


def _requeue(connection: apsw.Connection, letter: Redriven, now: float) -> None:
    key = (letter.trigger, letter.sequence)
    connection.execute(_MOVE, (letter.due, Origin.REDRIVEN.value, *key))
    connection.execute("DELETE FROM dead_letters WHERE uid = ? AND sequence = ?", key)
    note(connection, letter.trigger, letter.name, letter.sequence, now, Origin.REDRIVEN.value)


def _queued(row: tuple[Any, ...]) -> QueuedEvent:
    entry, uid, due, origin, *columns = row
    record = Record(*columns)
    return QueuedEvent(entry, uid, due, Origin(origin), record.sequence, _stored(record))


def _stored(record: Record) -> StoredEvent | None:
    try:
        return from_record(record)
    except DamagedEvent:
        return None
