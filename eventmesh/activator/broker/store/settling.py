"""Writing down how deliveries went and ended; runs in the committer's thread."""

from __future__ import annotations

from collections.abc import Sequence, Set

import apsw

from eventmesh.activator.broker.store.queue import Origin
from eventmesh.activator.broker.store.records import COLUMNS
from eventmesh.activator.broker.store.values import Attempt, Failure, Outcome, Settlement
from eventmesh.base.frozen import frozen

_KEEP = f"""
  INSERT OR REPLACE INTO dead_letters (uid, reason, name, at, uri, status, error, attempts, {COLUMNS})
  SELECT ?, ?, ?, ?, ?, ?, ?, ?, {COLUMNS} FROM {{}} = ?"""  # noqa: S608  # constants
_KEEP_EVENT, _KEEP_ENTRY = _KEEP.format("events WHERE sequence"), _KEEP.format("queued WHERE entry")

_DEFER = f"""
  INSERT INTO queued (uid, due, origin, {COLUMNS})
  SELECT ?, ?, ?, {COLUMNS} FROM events WHERE sequence = ?"""  # noqa: S608  # constants

_RECORD = """
  INSERT INTO attempts (sequence, uid, name, number, to_sink, at, took_s, status, error, outcome, reason, reply)
  VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"""


@frozen
class Settle:
    """Deliveries have ended; an end without an attempt means that nothing was sent."""

    settlements: Sequence[Settlement]
    attempts: Sequence[Attempt]
    now: float

    def apply(self, connection: apsw.Connection) -> None:
        """Record attempts and ends, and move cursors over what is settled without a gap."""
        _settle(connection, self.settlements, self.attempts, self.now)


def _settle(
    connection: apsw.Connection, settlements: Sequence[Settlement], attempts: Sequence[Attempt], now: float
) -> None:
    if attempts:
        connection.executemany(_RECORD, [_columns(attempt) for attempt in attempts])
    known = _known(connection, {end.trigger for end in settlements})
    touched, out_of_queue = set(), []
    for end in settlements:
        if end.trigger not in known:
            continue
        if end.outcome is Outcome.KEPT:
            _keep(connection, end, now)
        if end.outcome is Outcome.DEFERRED:
            connection.execute(_DEFER, (end.trigger, end.due, Origin.DELAYED.value, end.sequence))
        if end.entry:
            out_of_queue.append((end.entry,))
            continue
        if end.since:
            _pass(connection, end)
        else:
            connection.execute("INSERT OR IGNORE INTO ahead VALUES (?,?)", (end.trigger, end.sequence))
        touched.add(end.trigger)
    # At once, and behind the dead letters that were copied from there.
    connection.executemany("DELETE FROM queued WHERE entry = ?", out_of_queue)
    for trigger in touched:
        _advance(connection, trigger)


def _known(connection: apsw.Connection, triggers: Set[str]) -> Set[str]:
    """Return those of the triggers that have a place."""
    sql = "SELECT 1 FROM triggers WHERE uid = ?"
    return {trigger for trigger in triggers if list(connection.execute(sql, (trigger,)))}


_OPEN_BEFORE = """
  SELECT 1 FROM triggers t JOIN events e ON e.broker = t.broker AND e.sequence > t.cursor AND e.sequence < ?2
  WHERE t.uid = ?1 AND NOT EXISTS (SELECT 1 FROM ahead a WHERE a.uid = t.uid AND a.sequence = e.sequence) LIMIT 1"""

_SET_AHEAD = """
  INSERT OR IGNORE INTO ahead SELECT t.uid, e.sequence FROM triggers t JOIN events e ON e.broker = t.broker
  WHERE t.uid = ? AND e.sequence BETWEEN ? AND ?"""


def _pass(connection: apsw.Connection, end: Settlement) -> None:
    """Settle a range of events at once: without a row for each when nothing before it is open."""
    if list(connection.execute(_OPEN_BEFORE, (end.trigger, end.since))):
        connection.execute(_SET_AHEAD, (end.trigger, end.since, end.sequence))
    else:
        sql = "UPDATE triggers SET cursor = max(cursor, ?) WHERE uid = ?"
        connection.execute(sql, (end.sequence, end.trigger))
        connection.execute("DELETE FROM ahead WHERE uid = ? AND sequence <= ?", (end.trigger, end.sequence))


def _columns(attempt: Attempt) -> tuple[object, ...]:
    outcome = None if attempt.outcome is None else attempt.outcome.value
    return (
        attempt.sequence,
        attempt.trigger,
        attempt.name,
        attempt.number,
        attempt.to_dead_letter_sink,
        attempt.at,
        attempt.took_s,
        attempt.status,
        attempt.error,
        outcome,
        attempt.reason,
        attempt.reply or None,
    )


def _keep(connection: apsw.Connection, end: Settlement, now: float) -> None:
    failure = end.failure or Failure("", 0)
    uri = failure.uri if end.failure else None
    facts = (end.trigger, end.reason, end.name, now, uri, failure.status, failure.data, failure.attempts)
    if end.entry:
        connection.execute(_KEEP_ENTRY, (*facts, end.entry))
    else:
        connection.execute(_KEEP_EVENT, (*facts, end.sequence))


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
