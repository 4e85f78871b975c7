"""Deleting what is neither waited for nor to be kept; runs in the committer's thread."""

from __future__ import annotations

import math

import apsw

from eventmesh.activator.broker.store.sequences import BOUNDS, sequence_at
from eventmesh.activator.broker.store.values import Retention

TRIM_BATCH = 5_000
"""Events, and attempts, deleted in one transaction: deleting a large backlog must not hold up acceptance."""

_FIRST_AWAITED = """
  SELECT min((SELECT min(e.sequence) FROM events e WHERE e.broker = t.broker AND e.sequence > t.cursor)) FROM triggers t
"""


def trim(connection: apsw.Connection, retention: Retention, now: float) -> int:
    """Delete a batch of the oldest events; return how many went."""
    # A prefix only, so that the numbers that are left have no gap: a gap then always means damage. The last event
    # stays: it carries the highest number ever used.
    ((first, last),) = connection.execute(BOUNDS)
    if first is None:
        return 0
    ((awaited,),) = connection.execute(_FIRST_AWAITED)
    ((replayed,),) = connection.execute("SELECT min(position + 1) FROM replays")
    bound = min(at for at in (last, awaited, replayed) if at is not None)
    excess = bytes_in_use(connection) - retention.max_bytes
    if excess > 0:
        average = bytes_in_use(connection) / (last - first + 1)
        batch = min(TRIM_BATCH, math.ceil(excess / average))
    else:
        bound, batch = min(bound, sequence_at(connection, now - retention.max_age_s)), TRIM_BATCH
    connection.execute("DELETE FROM events WHERE sequence < ?", (min(bound, first + batch),))
    return int(connection.changes())


def trim_attempts(connection: apsw.Connection) -> int:
    """Delete a batch of the attempts whose event is gone; return how many went."""
    sql = """
      DELETE FROM attempts WHERE entry IN (
        SELECT entry FROM attempts WHERE sequence < (SELECT min(sequence) FROM events) ORDER BY sequence LIMIT ?)"""
    connection.execute(sql, (TRIM_BATCH,))
    return int(connection.changes())


def bytes_in_use(connection: apsw.Connection) -> int:
    """Return the bytes of all pages that hold something."""
    pages = int(connection.pragma("page_count")) - int(connection.pragma("freelist_count"))
    return pages * int(connection.pragma("page_size"))
