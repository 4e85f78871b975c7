"""Replays in the embedded store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import apsw

from eventmesh.activator.broker.store.changes import Write
from eventmesh.activator.broker.store.notes import note_all
from eventmesh.activator.broker.store.queue import Origin
from eventmesh.activator.broker.store.records import COLUMNS
from eventmesh.activator.broker.store.replays import Advance, NewReplay, Replay
from eventmesh.activator.broker.store.sequences import BOUNDS, sequence_at
from eventmesh.activator.broker.store.sqlite_queue import Read
from eventmesh.base.frozen import frozen

_REPLAY = "number, uid, name, broker, expression, rate, started_at, first, last, position, queued, next_due"

# All events of a step in one statement: a statement each costs more than the copying. What the trigger is still to
# deliver by itself is not repeated.
_QUEUE = f"""
  INSERT INTO queued (uid, due, origin, {COLUMNS})
  SELECT t.uid, asked.value ->> 1, ?2, {", ".join(f"e.{name.strip()}" for name in COLUMNS.split(","))}
  FROM triggers t CROSS JOIN json_each(?3) asked CROSS JOIN events e ON e.sequence = asked.value ->> 0
  WHERE t.uid = ?1 AND (e.sequence <= t.cursor
    OR EXISTS (SELECT 1 FROM ahead a WHERE a.uid = t.uid AND a.sequence = e.sequence))
  RETURNING sequence, due"""  # noqa: S608  # constants


class SqliteReplays:
    """The `EventReplays` of a `SqliteStore`."""

    def __init__(self, write: Write, read: Read) -> None:
        self._write = write
        self._read = read

    async def start(self, new: NewReplay, now: float) -> Replay:
        """Return the replay."""
        return await self._write(StartReplay(new, now))

    async def all(self) -> Sequence[Replay]:
        """Return what is under way."""
        return [Replay(*row) for row in await self._read(f"SELECT {_REPLAY} FROM replays ORDER BY number", ())]  # noqa: S608

    async def advance(self, step: Advance) -> int:
        """Queue events and move on."""
        return await self._write(AdvanceReplay(step))

    async def outstanding(self, trigger: str) -> int:
        """Return how many replayed events wait."""
        sql = "SELECT count(*) FROM queued WHERE uid = ? AND origin = ?"
        ((count,),) = await self._read(sql, (trigger, Origin.REPLAYED.value))
        return int(count)

    async def stop(self, number: int) -> bool:
        """End a replay."""
        return await self._write(StopReplay(number))


@frozen
class StartReplay:
    """Somebody asks for a part of the past."""

    new: NewReplay
    now: float

    def apply(self, connection: apsw.Connection) -> Replay:
        """Return the replay."""
        return _start(connection, self.new, self.now)


@frozen
class AdvanceReplay:
    """A replay goes a step further."""

    step: Advance

    def apply(self, connection: apsw.Connection) -> int:
        """Return how many events were queued."""
        return _advance(connection, self.step)


@frozen
class StopReplay:
    """A replay is ended."""

    number: int

    def apply(self, connection: apsw.Connection) -> bool:
        """Return whether there was such a one."""
        connection.execute("DELETE FROM replays WHERE number = ?", (self.number,))
        return bool(connection.changes())


def _start(connection: apsw.Connection, new: NewReplay, now: float) -> Replay:
    ((oldest, newest),) = connection.execute(BOUNDS)
    first = sequence_at(connection, new.since) if new.since is not None else oldest or 1
    last = sequence_at(connection, new.until) - 1 if new.until is not None else newest or 0
    row = (new.trigger, new.name, new.broker, new.expression, new.rate_per_s, now, first, last, first - 1, 0, now)
    sql = f"INSERT INTO replays ({_REPLAY}) VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608  # constants
    connection.execute(sql, row)
    return _only(connection, connection.last_insert_rowid())


def _only(connection: apsw.Connection, number: int) -> Replay:
    rows: list[tuple[Any, ...]] = list(
        connection.execute(f"SELECT {_REPLAY} FROM replays WHERE number = ?", (number,))  # noqa: S608
    )
    return Replay(*rows[0])


def _advance(connection: apsw.Connection, step: Advance) -> int:
    if not list(connection.execute("SELECT 1 FROM replays WHERE number = ?", (step.number,))):
        # Stopped meanwhile.
        return 0
    replay = _only(connection, step.number)
    asked = json.dumps(step.events)
    queued = list(connection.execute(_QUEUE, (replay.trigger, Origin.REPLAYED.value, asked)))
    note_all(connection, replay.trigger, replay.name, queued, f"{Origin.REPLAYED.value} ({step.number})")
    if step.position >= replay.last:
        connection.execute("DELETE FROM replays WHERE number = ?", (step.number,))
    else:
        sql = "UPDATE replays SET position = ?, queued = queued + ?, next_due = ? WHERE number = ?"
        connection.execute(sql, (step.position, len(queued), step.next_due, step.number))
    return len(queued)
