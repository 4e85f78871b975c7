"""A line in the timeline of an event that is no attempt; runs in the committer's thread."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

_NOTE = """
  INSERT INTO attempts (sequence, uid, name, number, to_sink, at, took_s, status, error, outcome, reason, reply)
  VALUES (?, ?, ?, 0, 0, ?, 0, 0, '', NULL, ?, NULL)"""


def note(connection: apsw.Connection, trigger: str, name: str, sequence: int, at: float, what: str) -> None:
    """Write down that `what` happened to the event, for the trigger with that UID and `namespace/name`."""
    connection.execute(_NOTE, (sequence, trigger, name, at, what))


def note_all(
    connection: apsw.Connection, trigger: str, name: str, events: Iterable[tuple[int, float]], what: str
) -> None:
    """Write down that `what` happened to each of `events` (sequence, and when), as `note` does for one."""
    connection.executemany(_NOTE, [(sequence, trigger, name, at, what) for sequence, at in events])
