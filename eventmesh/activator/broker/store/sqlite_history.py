"""The history in the embedded store, over a connection of its own: a long look holds up no delivery."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import apsw

from eventmesh.activator.broker.store.errors import DamagedEvent, StoreError
from eventmesh.activator.broker.store.history import (
    MAX_COUNTED,
    MAX_PAGE,
    Level,
    Order,
    Page,
    Position,
    Query,
    Reach,
    Recorded,
    Timeline,
)
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.records import BY_SEQUENCE, COLUMNS, Record, from_record, from_rows
from eventmesh.activator.broker.store.sequences import BOUNDS, sequence_at
from eventmesh.activator.broker.store.trimming import bytes_in_use, holders
from eventmesh.activator.broker.store.upkeep import Upkeep
from eventmesh.activator.broker.store.values import Attempt, DeadLetter, Failure, Outcome, Retention, StoredEvent
from eventmesh.cloudevents.event import Event

WINDOW = 50_000
"""Sequences looked through by SQLite for one page: some 50 ms, during which the interpreter is free."""

EVALUATED = 2_000
"""Sequences looked through for one page when each event must be tried by a filter: that holds the interpreter up."""

_ATTEMPT = "entry, sequence, uid, name, number, to_sink, at, took_s, status, error, outcome, reason, reply"
_ATTEMPT_WIDTH = len(_ATTEMPT.split(","))

_LEVELS = """
  SELECT t.uid,
    (SELECT count(*) FROM (SELECT 1 FROM events e WHERE e.broker = t.broker AND e.sequence > t.cursor LIMIT ?1))
      - (SELECT count(*) FROM (SELECT 1 FROM ahead a WHERE a.uid = t.uid LIMIT ?1)),
    (SELECT count(*) FROM (SELECT 1 FROM queued q WHERE q.uid = t.uid LIMIT ?1)),
    (SELECT count(*) FROM (SELECT 1 FROM dead_letters d WHERE d.uid = t.uid LIMIT ?1))
  FROM triggers t"""


class SqliteHistory:
    """An `EventHistory` over the file of a `SqliteStore`."""

    def __init__(self, connection: apsw.Connection, upkeep: Upkeep) -> None:
        self._connection = connection
        self._upkeep = upkeep
        self._reading = threading.Lock()

    def close(self) -> None:
        """Close the connection, when nobody reads any more."""
        with self._reading:
            self._connection.close()

    async def events(self, query: Query) -> Page:
        """Return events that the query asks for."""
        return await asyncio.to_thread(self._events, query)

    def _events(self, query: Query) -> Page:
        first, last = self._bounds(query)
        size = WINDOW if query.passes is None else EVALUATED
        if query.order is Order.OLDEST_FIRST:
            low, high = first, min(last, first + size - 1)
        else:
            low, high = max(first, last - size + 1), last
        found: list[StoredEvent] = []
        with closing(self._matching(query, low, high)) as rows:
            for row in rows:
                stored = _readable(Record(*row))
                if stored is None or not _wanted(query, stored):
                    continue
                found.append(without_data(stored))
                if len(found) == query.limit:
                    break
        return Page(found, _next(query, found, (low, high), (first, last)))

    def _bounds(self, query: Query) -> tuple[int, int]:
        """Return the first and the last sequence that may be wanted."""
        ((first, last),) = self._query(BOUNDS, ())
        low, high = max(first or 1, query.after + 1), last or 0
        if query.before:
            high = min(high, query.before - 1)
        if query.since is not None:
            low = max(low, self._sequence_at(query.since))
        if query.until is not None:
            high = min(high, self._sequence_at(query.until) - 1)
        return low, high

    def _sequence_at(self, moment: float) -> int:
        with self._reading:
            return sequence_at(self._connection, moment)

    def _matching(self, query: Query, low: int, high: int) -> Generator[tuple[Any, ...], None, None]:
        condition, names = of_broker(query.broker)
        conditions = ["sequence BETWEEN ? AND ?", condition]
        values: list[object] = [low, high, *names]
        for name, text in query.equal.items():
            # A first look at the text as it is stored; `_wanted` makes sure.
            conditions.append("(instr(attributes, ?) OR instr(attributes, ?))")
            values += [_spelt(name, text), f"{json.dumps(name)}:{text}"]
        direction = "ASC" if query.order is Order.OLDEST_FIRST else "DESC"
        sql = f"SELECT {COLUMNS} FROM events WHERE {' AND '.join(conditions)} ORDER BY sequence {direction}"  # noqa: S608
        yield from self._scan(sql, tuple(values))

    def _scan(self, sql: str, values: tuple[object, ...]) -> Generator[tuple[Any, ...], None, None]:
        """Yield the rows of a statement one by one: who has enough closes it; large events are never held together."""
        self._upkeep.refuse()
        try:
            with self._reading:
                yield from self._connection.execute(sql, values)
        except apsw.Error as error:
            raise StoreError(f"the event store could not be read: {error}") from error

    async def event(self, sequence: int) -> StoredEvent | None:
        """Return one event."""
        return await asyncio.to_thread(self._event, sequence)

    def _event(self, sequence: int) -> StoredEvent | None:
        return from_rows(self._query(BY_SEQUENCE, (sequence,)))

    async def timeline(self, sequence: int) -> Timeline | None:
        """Return what became of an event."""
        return await asyncio.to_thread(self._timeline, sequence)

    def _timeline(self, sequence: int) -> Timeline | None:
        stored = self._event(sequence)
        if stored is None:
            return None
        rows = self._query(f"SELECT {_ATTEMPT} FROM attempts WHERE sequence = ? ORDER BY entry", (sequence,))  # noqa: S608
        attempts = [_attempt(row) for row in rows]
        sql = """
          SELECT uid, (cursor >= ?1 OR EXISTS (SELECT 1 FROM ahead a WHERE a.uid = t.uid AND a.sequence = ?1))
            AND NOT EXISTS (SELECT 1 FROM queued q WHERE q.uid = t.uid AND q.sequence = ?1)
          FROM triggers t WHERE broker = ?2 AND began < ?1"""
        sent = {attempt.trigger for attempt in attempts}
        triggers = {
            uid: (Reach.ENDED if uid in sent else Reach.NOT_MATCHED) if done else Reach.PENDING
            for uid, done in self._query(sql, (sequence, stored.broker))
        }
        causes = self._query("SELECT DISTINCT sequence FROM attempts WHERE reply = ? ORDER BY sequence", (sequence,))
        return Timeline(stored, attempts, triggers, [int(cause) for (cause,) in causes])

    async def attempts(self, query: Query) -> Sequence[Recorded]:
        """Return attempts beyond the entry `query.after`."""
        return await asyncio.to_thread(self._attempts, query)

    def _attempts(self, query: Query) -> list[Recorded]:
        condition, names = of_broker(query.broker)
        sql = f"""
          SELECT {_ATTEMPT}, {COLUMNS} FROM (SELECT * FROM attempts WHERE entry > ? ORDER BY entry LIMIT ?)
          JOIN events USING (sequence) WHERE {condition} ORDER BY entry"""  # noqa: S608
        found = []
        with closing(self._scan(sql, (query.after, query.limit, *names))) as rows:
            for row in rows:
                stored = _readable(Record(*row[_ATTEMPT_WIDTH:]))
                if stored is not None and _wanted(query, stored):
                    found.append(Recorded(int(row[0]), _attempt(row[:_ATTEMPT_WIDTH]), without_data(stored)))
        return found

    async def position(self) -> Position:
        """Return how far events and attempts go now."""
        sql = "SELECT (SELECT max(sequence) FROM events), (SELECT seq FROM sqlite_sequence WHERE name = 'attempts')"
        ((sequence, entry),) = await asyncio.to_thread(self._query, sql, ())
        return Position(int(sequence or 0), int(entry or 0))

    async def levels(self) -> Mapping[str, Level]:
        """Return what waits for each trigger."""
        rows = await self.read(_LEVELS, (MAX_COUNTED,))
        return {uid: Level(max(0, pending), queued, dead) for uid, pending, queued, dead in rows}

    async def holders(self, retention: Retention, now: float) -> Sequence[str]:
        """Return who keeps the oldest event."""
        return await asyncio.to_thread(self._holders, retention, now)

    def _holders(self, retention: Retention, now: float) -> list[str]:
        self._upkeep.refuse()
        with self._reading:
            return holders(self._connection, retention, now)

    async def size_bytes(self) -> int:
        """Return the bytes in use."""
        return await asyncio.to_thread(self._size_bytes)

    def _size_bytes(self) -> int:
        with self._reading:
            return bytes_in_use(self._connection)

    async def dead_letters(self, selection: Selection, limit: int = MAX_PAGE) -> Sequence[DeadLetter]:
        """Return what stayed undelivered, oldest first."""
        return await asyncio.to_thread(self._dead_letters, selection, limit)

    def _dead_letters(self, selection: Selection, limit: int) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        with closing(self._scan(*_letters(selection))) as rows:
            for row in rows:
                letter = _dead_letter(row)
                if not selection.event_id:
                    letter = letter if letter.stored is None else replace(letter, stored=without_data(letter.stored))
                elif letter.stored is None or letter.stored.event.id != selection.event_id:
                    continue
                found.append(letter)
                if len(found) == limit:
                    break
        return found

    async def read(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement; for the other parts of the store that people look at."""
        return await asyncio.to_thread(self._query, sql, values)

    def _query(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        self._upkeep.refuse()
        try:
            with self._reading:
                return list(self._connection.execute(sql, values))
        except apsw.Error as error:
            raise StoreError(f"the event store could not be read: {error}") from error


def of_broker(broker: str) -> tuple[str, tuple[str, ...]]:
    """Return the condition, and its values, for one broker or (`namespace/`) those of a namespace."""
    if broker.endswith("/"):
        # "0" is the character behind "/".
        return "broker >= ? AND broker < ?", (broker, f"{broker[:-1]}0")
    return "broker = ?", (broker,)


def _letters(selection: Selection) -> tuple[str, tuple[object, ...]]:
    """Return the statement, and its values, for the dead letters that may be meant."""
    condition, names = of_broker(selection.broker)
    values: tuple[object, ...] = names
    if selection.trigger:
        condition, values = f"{condition} AND name = ?", (*values, selection.trigger)
    if selection.event_id:
        condition, values = f"{condition} AND instr(attributes, ?)", (*values, _spelt("id", selection.event_id))
    columns = f"uid, reason, name, at, uri, status, error, attempts, {COLUMNS}"
    return f"SELECT {columns} FROM dead_letters WHERE {condition} ORDER BY sequence, uid", values  # noqa: S608


def _spelt(name: str, text: str) -> str:
    """Return how an attribute that is a text stands in a row."""
    return f"{json.dumps(name)}:{json.dumps(text, ensure_ascii=False)}"


def without_data(stored: StoredEvent) -> StoredEvent:
    """Return an event as lists show it: five hundred of a mebibyte each would not fit into anybody's memory."""
    return replace(stored, event=Event.checked(stored.event.attributes, None))


def _readable(record: Record) -> StoredEvent | None:
    try:
        return from_record(record)
    except DamagedEvent:
        # The trigger that meets it makes it a dead letter, and that says so.
        return None


def _wanted(query: Query, stored: StoredEvent) -> bool:
    if any(stored.event.text(name) != text for name, text in query.equal.items()):
        return False
    return query.passes is None or query.passes(stored.event)


def _next(query: Query, found: list[StoredEvent], looked: tuple[int, int], bounds: tuple[int, int]) -> int:
    full = len(found) == query.limit
    if query.order is Order.OLDEST_FIRST:
        end = found[-1].sequence if full else looked[1]
        return end if end < bounds[1] else 0
    end = found[-1].sequence if full else looked[0]
    return end if end > bounds[0] else 0


def _attempt(row: tuple[Any, ...]) -> Attempt:
    _, sequence, uid, name, number, to_sink, at, took_s, status, error, outcome, reason, reply = row
    return Attempt(
        uid,
        name,
        sequence,
        number,
        bool(to_sink),
        at,
        took_s,
        status,
        error,
        None if outcome is None else Outcome(outcome),
        reason,
        reply or 0,
    )


def _dead_letter(row: tuple[Any, ...]) -> DeadLetter:
    uid, reason, name, at, uri, status, error, attempts, *columns = row
    record = Record(*columns)
    failure = None if uri is None else Failure(uri, status, error, attempts)
    # One that cannot be read is listed all the same: that is why it is here.
    return DeadLetter(uid, record.sequence, _readable(record), reason, name, at, failure)
