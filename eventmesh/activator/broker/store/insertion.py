"""Putting accepted events into their table; runs in the committer's thread."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from eventmesh.activator.broker.store.arrivals import Arrival
from eventmesh.activator.broker.store.duplicates import place
from eventmesh.activator.broker.store.records import COLUMNS, with_place
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.base.frozen import frozen

_INSERT_SIZES = (64, 16, 4, 1)
"""Rows of one statement: few sizes, so that each is prepared once."""
_INSERTS = {
    size: f"INSERT INTO events ({COLUMNS}) VALUES {','.join(['(?,?,?,?,?,?,?)'] * size)}"  # noqa: S608  # constants
    for size in _INSERT_SIZES
}


@frozen
class Accept:
    """Events are taken in."""

    arrivals: Sequence[Arrival]

    def apply(self, connection: apsw.Connection) -> list[StoredEvent]:
        """Return them as they are stored."""
        return insert(connection, self.arrivals)


def insert(connection: apsw.Connection, arrivals: Sequence[Arrival]) -> list[StoredEvent]:
    """Insert all of them, each under the next number; return them as they are stored."""
    # The number is read, not counted in memory: a transaction that was rolled back must leave no gap. The last event
    # is never deleted, so that no number is used twice.
    (last,) = next(iter(connection.execute("SELECT max(sequence) FROM events")))
    placed = place(connection, arrivals, (last or 0) + 1)
    rows = [_row(sequence, arrival) for arrival, sequence, new in placed if new]
    at = 0
    for size in _INSERT_SIZES:
        while len(rows) - at >= size:
            values = [value for row in rows[at : at + size] for value in row]
            connection.execute(_INSERTS[size], values)
            at += size
    return [
        StoredEvent(sequence, arrival.accepted_at, arrival.new.broker, arrival.new.event, arrival.new.carried, not new)
        for arrival, sequence, new in placed
    ]


def _row(sequence: int, arrival: Arrival) -> tuple[int, float, str, str, str, bytes | None, int]:
    """Return the values of `COLUMNS`."""
    new, encoded = arrival.new, arrival.encoded
    checksum = with_place(encoded.checksum, sequence, arrival.accepted_at)
    return (
        sequence,
        arrival.accepted_at,
        new.broker,
        encoded.attributes,
        encoded.carried,
        new.event.data,
        checksum,
    )
