"""Deleting what is neither waited for nor to be kept; runs in the committer's thread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import apsw

from eventmesh.activator.broker.store.sequences import BOUNDS, sequence_at
from eventmesh.activator.broker.store.values import Retention

TRIM_BATCH = 5_000
"""Events, and attempts, deleted in one transaction: deleting a large backlog must not hold up acceptance."""

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
