"""Which events have come before, by broker, source and id, in the time that their broker wants; runs in the committer's
thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import count, repeat

import apsw

from eventmesh.activator.broker.store.arrivals import Arrival
from eventmesh.activator.broker.store.values import NewEvent
from eventmesh.base.frozen import frozen

KEY_BYTES = 16
"""Of the hash that stands for an event: 2^64 events until two are taken for one by chance."""

FORGET_BATCH = 10_000
"""Keys deleted in one transaction."""


Placed = tuple[Arrival, int, bool]
"""An arrival, its sequence, and whether it is new; one that came before has the sequence it got then."""


def place(connection: apsw.Connection, arrivals: Sequence[Arrival], first: int) -> list[Placed]:
    """Return the place of each arrival; new ones count from `first`."""
    if not any(arrival.new.unique_for_s for arrival in arrivals):
        # Nearly all brokers take every event: this costs them nothing.
        return list(zip(arrivals, count(first), repeat(True)))
    return list(_told_apart(connection, arrivals, first))


def _told_apart(connection: apsw.Connection, arrivals: Sequence[Arrival], first: int) -> Iterator[Placed]:
    sequence = first
    for arrival in arrivals:
        known = _known(connection, arrival, sequence) if arrival.new.unique_for_s else None
        yield arrival, sequence if known is None else known, known is None
        sequence += known is None


def _known(connection: apsw.Connection, arrival: Arrival, sequence: int) -> int | None:
    """Return the sequence under which the event came before; None: it is new, and known as `sequence` from now on."""
    key = _key(arrival.new)
    sql = "SELECT sequence FROM seen WHERE key = ? AND until > ?"
    rows = list(connection.execute(sql, (key, arrival.accepted_at)))
    if rows:
        return int(rows[0][0])
    until = arrival.accepted_at + arrival.new.unique_for_s
    connection.execute("INSERT OR REPLACE INTO seen VALUES (?,?,?)", (key, sequence, until))
    return None


@frozen
class ForgetSeen:
    """What is known for long enough is forgotten, a batch of it."""

    now: float

    def apply(self, connection: apsw.Connection) -> int:
        """Return how many went."""
        sql = "DELETE FROM seen WHERE key IN (SELECT key FROM seen WHERE until <= ? ORDER BY until, key LIMIT ?)"
        connection.execute(sql, (self.now, FORGET_BATCH))
        return int(connection.changes())


def _key(new: NewEvent) -> bytes:
    # Lengths are not needed: no attribute holds a zero.
    text = f"{new.broker}\0{new.event.source}\0{new.event.id}"
    return blake2b(text.encode(), digest_size=KEY_BYTES).digest()
