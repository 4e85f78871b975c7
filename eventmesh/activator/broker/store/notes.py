"""A line in the timeline of an event that is no attempt; runs in the committer's thread."""

from __future__ import annotations

import apsw

_NOTE = """
  INSERT INTO attempts (sequence, uid, name, number, to_sink, at, took_s, status, error, outcome, reason, reply)
  VALUES (?, ?, ?, 0, 0, ?, 0, 0, '', NULL, ?, NULL)"""


def note(connection: apsw.Connection, trigger: str, name: str, sequence: int, at: float, what: str) -> None:
    """Write down that `what` happened to the event, for the trigger with that UID and `namespace/name`."""
    connection.execute(_NOTE, (sequence, trigger, name, at, what))
