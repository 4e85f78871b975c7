"""Which events have come before, by broker, source and id, in the time that their broker wants; runs in the committer's
thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import apsw

from eventmesh.activator.broker.store.api import NewEvent
from eventmesh.activator.broker.store.arrivals import Arrival

KEY_BYTES = 16
"""Of the hash that stands for an event: 2^64 events until two are taken for one by chance."""

FORGET_BATCH = 10_000
"""Keys deleted in one transaction."""


def place(connection: apsw.Connection, arrivals: Sequence[Arrival], first: int) -> Iterator[tuple[Arrival, int, bool]]:
    """Yield each arrival with its sequence, and whether it is new; new ones count from `first`.

    An event that came before has the sequence it got then.
    """
    sequence = first
    for arrival in arrivals:
        if not arrival.new.unique_for_s:
            yield arrival, sequence, True
            sequence += 1
            continue
        key = _key(arrival.new)
        sql = "SELECT sequence FROM seen WHERE key = ? AND until > ?"
        known = list(connection.execute(sql, (key, arrival.accepted_at)))
        if known:
            yield arrival, int(known[0][0]), False
            continue
        until = arrival.accepted_at + arrival.new.unique_for_s
        connection.execute("INSERT OR REPLACE INTO seen VALUES (?,?,?)", (key, sequence, until))
        yield arrival, sequence, True
        sequence += 1


def forget(connection: apsw.Connection, now: float) -> int:
    """Delete a batch of what is known for long enough; return how many went."""
    sql = "DELETE FROM seen WHERE key IN (SELECT key FROM seen WHERE until <= ? LIMIT ?)"
    connection.execute(sql, (now, FORGET_BATCH))
    return int(connection.changes())


def _key(new: NewEvent) -> bytes:
    # Lengths are not needed: no attribute holds a zero.
    text = f"{new.broker}\0{new.event.source}\0{new.event.id}"
    return blake2b(text.encode(), digest_size=KEY_BYTES).digest()
