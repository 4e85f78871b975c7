"""Deleting what is neither waited for nor to be kept; runs in the committer's thread."""

from __future__ import annotations

import math
from dataclasses import astuple

import apsw

from eventmesh.activator.broker.store.records import COLUMNS, tombstone
from eventmesh.activator.broker.store.sequences import BOUNDS, sequence_at
from eventmesh.activator.broker.store.values import Retention
from eventmesh.base.frozen import frozen

TRIM_BATCH = 5_000
"""Events, and attempts, deleted or looked at in one transaction: a large backlog must not hold up acceptance."""

_FIRST_AWAITED = """
  SELECT min((SELECT min(e.sequence) FROM events e WHERE e.broker = t.broker AND e.sequence > t.cursor)) FROM triggers t
"""


def first_kept(connection: apsw.Connection, retention: Retention, now: float) -> int:
    """Return the first sequence of those that are to stay when a batch of the oldest goes; 0: nothing is stored."""
    ((first, last),) = connection.execute(BOUNDS)
    if first is None:
        return 0
    retained, batch = _retained(connection, retention, now, first, last)
    return int(min(_first_needed(connection, last), retained, first + batch))


def _retained(connection: apsw.Connection, retention: Retention, now: float, first: int, last: int) -> tuple[int, int]:
    """Return the first sequence that stays if nobody waits for any, and how many are to go at a time."""
    used = bytes_in_use(connection)
    if used <= retention.max_bytes:
        return min(last, sequence_at(connection, now - retention.max_age_s)), TRIM_BATCH
    average = used / (last - first + 1)
    return last, min(TRIM_BATCH, math.ceil((used - retention.max_bytes) / average))


def _first_needed(connection: apsw.Connection, last: int) -> int:
    # The last event stays: it carries the highest number ever used.
    ((awaited,),) = connection.execute(_FIRST_AWAITED)
    ((replayed,),) = connection.execute("SELECT min(position + 1) FROM replays")
    return min(at for at in (last, awaited, replayed) if at is not None)


def next_tombstones(
    connection: apsw.Connection, retention: Retention, now: float, place: int
) -> LeaveTombstones | None:
    """Return where to look next for events that can go, beyond the sequence `place`; None: nowhere.

    They lie behind one that is needed, or would have gone with the oldest.
    """
    ((first, last),) = connection.execute(BOUNDS)
    if first is None:
        return None
    before, most = _retained(connection, retention, now, first, last)
    after = max(place, _first_needed(connection, before))
    return LeaveTombstones(after, min(before, after + 1 + TRIM_BATCH), most) if after + 1 < before else None


_HOLDERS = """
  SELECT t.uid FROM triggers t WHERE EXISTS (
    SELECT 1 FROM events e WHERE e.broker = t.broker AND e.sequence > t.cursor AND e.sequence <= ?)"""


def holders(connection: apsw.Connection, retention: Retention, now: float) -> list[str]:
    """Return the UIDs of the triggers that still wait for the oldest event, when it is there for no other reason."""
    ((first, last),) = connection.execute(BOUNDS)
    if first is None:
        return []
    retained, _ = _retained(connection, retention, now, first, last)
    needed = _first_needed(connection, retained)
    return [str(uid) for (uid,) in connection.execute(_HOLDERS, (needed,))] if needed < retained else []


# A trigger that is behind may still want whatever its broker has beyond its place.
_UNNEEDED = """
  WITH places AS MATERIALIZED (SELECT broker, min(cursor) AS cursor FROM triggers GROUP BY broker)
  SELECT e.sequence, e.accepted_at FROM events e LEFT JOIN places p ON p.broker = e.broker
  WHERE e.sequence > ? AND e.sequence < ? AND e.broker <> '' AND e.sequence <= coalesce(p.cursor, e.sequence)
    AND NOT EXISTS (
      SELECT 1 FROM replays r WHERE r.broker = e.broker AND e.sequence > r.position AND e.sequence <= r.last)
  ORDER BY e.sequence LIMIT ?"""

_STONE = f"INSERT INTO events ({COLUMNS}) VALUES (?,?,?,?,?,?,?)"  # noqa: S608  # constants


@frozen
class LeaveTombstones:
    """Events that nobody waits for go, although one before them has to stay: their numbers are left, without a gap."""

    after: int
    """Sequence before the first of those that are looked at."""
    before: int
    """Sequence behind the last of them."""
    most: int
    """As many go at the most: fewer than are looked at where a store is a little too large."""

    def apply(self, connection: apsw.Connection) -> int:
        """Return how many went; the attempts at them go too."""
        stones = [tombstone(*row) for row in connection.execute(_UNNEEDED, (self.after, self.before, self.most))]
        numbers = [(stone.sequence,) for stone in stones]
        # Not an update: SQLite puts pages together that have become half empty only when it deletes.
        connection.executemany("DELETE FROM events WHERE sequence = ?", numbers)
        connection.executemany(_STONE, [astuple(stone) for stone in stones])
        connection.executemany("DELETE FROM attempts WHERE sequence = ?", numbers)
        return len(stones)


@frozen
class Trim:
    """Events below a sequence go, unless they are needed by then."""

    before: int

    def apply(self, connection: apsw.Connection) -> int:
        """Delete them; return how many went."""
        # A prefix only, so that the numbers that are left have no gap: a gap then always means damage.
        ((_, last),) = connection.execute(BOUNDS)
        if last is None:
            return 0
        bound = min(self.before, _first_needed(connection, last))
        connection.execute("DELETE FROM events WHERE sequence < ?", (bound,))
        return int(connection.changes())


@frozen
class TrimAttempts:
    """Attempts whose event is gone go too, a batch of them."""

    def apply(self, connection: apsw.Connection) -> int:
        """Delete them; return how many went."""
        sql = """
          DELETE FROM attempts WHERE entry IN (
            SELECT entry FROM attempts WHERE sequence < (SELECT min(sequence) FROM events)
            ORDER BY sequence, entry LIMIT ?)"""
        connection.execute(sql, (TRIM_BATCH,))
        return int(connection.changes())


def bytes_in_use(connection: apsw.Connection) -> int:
    """Return the bytes of all pages that hold something."""
    pages = int(connection.pragma("page_count")) - int(connection.pragma("freelist_count"))
    return pages * int(connection.pragma("page_size"))
