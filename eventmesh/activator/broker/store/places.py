"""The places of triggers among the events: taken when a trigger is first seen, dropped with it; runs in the committer's
thread."""

from __future__ import annotations

import apsw

from eventmesh.activator.broker.store.sequences import sequence_at
from eventmesh.activator.broker.store.values import Progress
from eventmesh.base.frozen import frozen


@frozen
class OpenTrigger:
    """A trigger wants to know how far it is."""

    trigger: str
    broker: str
    start_at: float | None

    def apply(self, connection: apsw.Connection) -> Progress:
        """Return its progress; a new one starts behind the last event, or where it wants to."""
        known = list(connection.execute("SELECT cursor FROM triggers WHERE uid = ?", (self.trigger,)))
        if known:
            ahead = connection.execute("SELECT sequence FROM ahead WHERE uid = ?", (self.trigger,))
            return Progress(int(known[0][0]), frozenset(int(row[0]) for row in ahead))
        (last,) = next(iter(connection.execute("SELECT max(sequence) FROM events")))
        cursor = int(last or 0)
        if self.start_at is not None:
            cursor = min(cursor, sequence_at(connection, self.start_at) - 1)
        connection.execute("INSERT INTO triggers VALUES (?,?,?,?)", (self.trigger, self.broker, cursor, cursor))
        return Progress(cursor)


@frozen
class ForgetTrigger:
    """A trigger is gone, its dead letters included."""

    trigger: str

    def apply(self, connection: apsw.Connection) -> None:
        """Delete all that is known of it."""
        for table in ("triggers", "ahead", "dead_letters", "queued", "replays"):
            connection.execute(f"DELETE FROM {table} WHERE uid = ?", (self.trigger,))  # noqa: S608  # constant names
