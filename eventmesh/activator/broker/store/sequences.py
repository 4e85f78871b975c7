"""Which event was the first to be accepted at a time: sequences rise with time and have no gaps."""

from __future__ import annotations

import apsw

BOUNDS = "SELECT (SELECT min(sequence) FROM events), (SELECT max(sequence) FROM events)"
"""The first and the last sequence. Asked for in one SELECT, SQLite would read every event for them."""


def sequence_at(connection: apsw.Connection, moment: float) -> int:
    """Return the sequence of the first event accepted at `moment` (seconds since the epoch) or later.

    When all are older it is the one that the next event gets. Where the clock was set back, events accepted
    twice at a time may fall on either side.
    """
    ((first, last),) = connection.execute(BOUNDS)
    if first is None:
        return 1
    low, high = int(first), int(last) + 1
    while low < high:
        middle = (low + high) // 2
        ((accepted_at,),) = connection.execute("SELECT accepted_at FROM events WHERE sequence = ?", (middle,))
        if accepted_at < moment:
            low = middle + 1
        else:
            high = middle
    return low
