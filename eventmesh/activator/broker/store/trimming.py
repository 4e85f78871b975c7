"""Deleting what is neither waited for nor to be kept; runs in the committer's thread."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import apsw

from eventmesh.activator.broker.store.records import COLUMNS, tombstone
from eventmesh.activator.broker.store.sequences import BOUNDS, sequence_at
from eventmesh.activator.broker.store.values import Retention

TRIM_BATCH = 5_000
"""Events, and attempts, deleted in one transaction: deleting a large backlog must not hold up acceptance."""

TOMBSTONE_WINDOW = 5_000
"""Sequences looked at in one transaction for what may become a tombstone, for the same reason."""

_FIRST_AWAITED = """
  SELECT min((SELECT min(e.sequence) FROM events e WHERE e.broker = t.broker AND e.sequence > t.cursor)) FROM triggers t
"""


def first_kept(connection: apsw.Connection, retention: Retention, now: float) -> int:
    """Return the first sequence of those that are to stay when a batch of the oldest goes; 0: nothing is stored."""
    ((first, last),) = connection.execute(BOUNDS)
    if first is None:
        return 0
    bound, batch = _first_needed(connection, last), TRIM_BATCH
    excess = bytes_in_use(connection) - retention.max_bytes
    if excess > 0:
        average = bytes_in_use(connection) / (last - first + 1)
        batch = min(TRIM_BATCH, math.ceil(excess / average))
    else:
        bound = min(bound, sequence_at(connection, now - retention.max_age_s))
    return int(min(bound, first + batch))


def _first_needed(connection: apsw.Connection, last: int) -> int:
    # The last event stays: it carries the highest number ever used.
    ((awaited,),) = connection.execute(_FIRST_AWAITED)
    ((replayed,),) = connection.execute("SELECT min(position + 1) FROM replays")
    return min(at for at in (last, awaited, replayed) if at is not None)


def _retained_from(connection: apsw.Connection, retention: Retention, now: float) -> int:
    """Return the first sequence that would stay if nobody waited for any."""
    ((first, last),) = connection.execute(BOUNDS)
    if first is None:
        return 0
    if bytes_in_use(connection) > retention.max_bytes:
        return int(last)
    return min(int(last), sequence_at(connection, now - retention.max_age_s))


def next_window(connection: apsw.Connection, retention: Retention, now: float, place: int) -> tuple[int, int] | None:
    """Return which sequences beyond `place` to look at next for tombstones, both ends exclusive; None: there are none.

    They lie behind one that is needed, or would have gone with the oldest.
    """
    before = _retained_from(connection, retention, now)
    after = max(place, _first_needed(connection, before))
    return (after, min(before, after + 1 + TOMBSTONE_WINDOW)) if after + 1 < before else None


_HOLDERS = """
  SELECT t.uid FROM triggers t WHERE EXISTS (
    SELECT 1 FROM events e WHERE e.broker = t.broker AND e.sequence > t.cursor AND e.sequence <= ?)"""


def holders(connection: apsw.Connection, retention: Retention, now: float) -> list[str]:
    """Return the UIDs of the triggers that still wait for the oldest event, when it is there for no other reason."""
    retained = _retained_from(connection, retention, now)
    needed = _first_needed(connection, retained)
    return [str(uid) for (uid,) in connection.execute(_HOLDERS, (needed,))] if needed < retained else []


# A trigger that is behind may still want whatever its broker has beyond its place.
_UNNEEDED = """
  SELECT sequence, accepted_at FROM events e WHERE sequence > ? AND sequence < ? AND broker <> ''
    AND sequence <= coalesce((SELECT min(cursor) FROM triggers t WHERE t.broker = e.broker), sequence)
    AND NOT EXISTS (
      SELECT 1 FROM replays r WHERE r.broker = e.broker AND e.sequence > r.position AND e.sequence <= r.last)
  ORDER BY sequence"""

_STONE = f"INSERT INTO events ({COLUMNS}) VALUES (?,?,?,?,?,?,?)"  # noqa: S608  # constants


@dataclass(frozen=True, slots=True)
class LeaveTombstones:
    """Events that nobody waits for go, although one before them has to stay: their numbers are left, without a gap."""

    after: int
    before: int

    def apply(self, connection: apsw.Connection) -> int:
        """Return how many went; the attempts at them go too."""
        stones = [tombstone(*row) for row in connection.execute(_UNNEEDED, (self.after, self.before))]
        numbers = [(stone.sequence,) for stone in stones]
        # Not an update: SQLite puts pages together that have become half empty only when it deletes.
        connection.executemany("DELETE FROM events WHERE sequence = ?", numbers)
        connection.executemany(_STONE, [astuple(stone) for stone in stones])
        connection.executemany("DELETE FROM attempts WHERE sequence = ?", numbers)
        return len(stones)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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
