"""Putting salvaged rows into a new store so that it is consistent: no gap, no trigger ahead of what it has done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

from eventmesh.activator.broker.store.queue import Origin
from eventmesh.activator.broker.store.records import COLUMNS, LOST
from eventmesh.activator.broker.store.salvage import Image, Salvaged, Table, event_of
from eventmesh.activator.broker.store.schema import migrate
from eventmesh.base.frozen import frozen

UNKNOWN_TRIGGER = "salvaged from a damaged page; the trigger it waited for is not known"


@frozen
class Place:
    """Where a trigger goes on."""

    uid: str
    broker: str
    cursor: int
    rebuilt: bool
    """Its place was lost: it gets again what no attempt is known to have ended."""


@frozen
class Found:
    """What the new store holds."""

    events: int
    lost: Sequence[tuple[int, int]]
    """First and last sequence of each range of events that are gone."""
    dead_letters: int
    queued: int
    queued_again: int
    """Of these, events whose entry in a queue was lost and that are delivered again."""
    attempts: int
    unreadable: int
    """Rows of other kinds than events that were not taken: their page is damaged."""
    places: Sequence[Place]


_INSERT = {
    Table.EVENTS: f"INSERT OR IGNORE INTO events ({COLUMNS}) VALUES (?,?,?,?,?,?,?)",  # noqa: S608  # constants
    Table.TRIGGERS: "INSERT OR REPLACE INTO triggers VALUES (?,?,?,?)",
    Table.DEAD_LETTERS: f"INSERT OR IGNORE INTO dead_letters VALUES ({','.join('?' * 15)})",  # noqa: S608
    Table.QUEUED: f"INSERT OR IGNORE INTO queued VALUES ({','.join('?' * 11)})",  # noqa: S608
    Table.ATTEMPTS: f"INSERT OR IGNORE INTO attempts VALUES ({','.join('?' * 13)})",  # noqa: S608
    Table.REPLAYS: f"INSERT OR IGNORE INTO replays VALUES ({','.join('?' * 12)})",  # noqa: S608
}

_ENDS = ("filtered", "delivered", "dead_lettered", "expired")
"""Outcomes after which nothing of an event is left to be done for its trigger."""

_LAST_OF_EACH = """
  CREATE TEMP TABLE known AS
  SELECT uid, name, sequence, outcome, max(entry) AS entry FROM attempts WHERE uid <> '' GROUP BY uid, sequence"""

_NOT_AT_ITS_END = f"""
  k.outcome IS NULL OR k.outcome NOT IN {_ENDS}"""

_HAS_COPY = """
  EXISTS (SELECT 1 FROM queued q WHERE q.uid = k.uid AND q.sequence = k.sequence)
  OR EXISTS (SELECT 1 FROM dead_letters d WHERE d.uid = k.uid AND d.sequence = k.sequence)"""

_QUEUE_AGAIN = f"""
  INSERT INTO queued (uid, due, origin, {COLUMNS})
  SELECT k.uid, 0, ?, {", ".join(f"e.{name.strip()}" for name in COLUMNS.split(","))}
  FROM known k JOIN triggers t USING (uid) JOIN events e ON e.sequence = k.sequence
  WHERE k.sequence <= t.cursor AND ({_NOT_AT_ITS_END}) AND NOT ({_HAS_COPY})"""  # noqa: S608  # constants

_AHEAD = f"""
  INSERT OR IGNORE INTO ahead SELECT k.uid, k.sequence FROM known k JOIN triggers t USING (uid)
  WHERE k.sequence > t.cursor AND (NOT ({_NOT_AT_ITS_END}) OR {_HAS_COPY})"""  # noqa: S608  # constants

_LOST_PLACES = """
  SELECT DISTINCT k.uid, e.broker FROM known k JOIN events e USING (sequence)
  WHERE k.uid NOT IN (SELECT uid FROM triggers) AND e.broker <> ''"""


def rebuild(image: Image, target: Path) -> Found:
    """Write a store into `target`; return what it holds. Raises apsw.Error."""
    connection = apsw.Connection(str(target))
    try:
        connection.pragma("journal_mode", "OFF")
        # It counts only when it is complete, and is synced then.
        connection.pragma("synchronous", "OFF")
        migrate(connection, 0)
        with connection:
            found = _fill(connection, image)
        connection.pragma("journal_mode", "wal")
    finally:
        connection.close()
    return found


def _fill(connection: apsw.Connection, image: Image) -> Found:
    doubtful: list[Salvaged] = []
    unreadable = 0
    numbers: dict[str, int] = {}
    for row in image.rows():
        if row.table is Table.NUMBERS:
            name, highest = row.values
            numbers[str(name)] = max(numbers.get(str(name), 0), int(highest or 0))
        elif row.table is Table.EVENTS:
            if event_of(row) is not None:
                connection.execute(_INSERT[row.table], row.values)
        elif row.table in (Table.QUEUED, Table.DEAD_LETTERS) and event_of(row) is None:
            unreadable += 1
        elif row.sound:
            connection.execute(_INSERT[row.table], row.values)
        else:
            doubtful.append(row)
    _borrow(connection)
    lost = list(_fill_gaps(connection, image))
    connection.execute(_LAST_OF_EACH)
    rebuilt = set(_lost_places(connection, image, doubtful))
    unreadable += _take_doubtful(connection, doubtful)
    again = 0
    if not image.is_sound:
        connection.execute(_QUEUE_AGAIN, (Origin.REDRIVEN.value,))
        again = connection.changes()
    connection.execute(_AHEAD)
    for table, highest in numbers.items():
        connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (highest, table))
    rows = connection.execute("SELECT uid, broker, cursor FROM triggers ORDER BY broker, uid")
    places = [Place(uid, broker, cursor, uid in rebuilt) for uid, broker, cursor in rows]
    counts = [_count(connection, table) for table in ("events", "dead_letters", "queued", "attempts")]
    events, letters, queued, attempts = counts
    gone = sum(last - first + 1 for first, last in lost)
    return Found(events - gone, lost, letters, queued, again, attempts, unreadable, places)


def _count(connection: apsw.Connection, table: str) -> int:
    ((count,),) = connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  # constant names
    return int(count)


def _borrow(connection: apsw.Connection) -> None:
    """Take events from their copies that are not there themselves, as far as they belong to what is kept."""
    for table in ("dead_letters", "queued"):
        connection.execute(
            f"INSERT OR IGNORE INTO events ({COLUMNS}) SELECT {COLUMNS} FROM {table} "  # noqa: S608  # constants
            "WHERE sequence > (SELECT min(sequence) FROM events)"
        )


def _fill_gaps(connection: apsw.Connection, image: Image) -> Iterator[tuple[int, int]]:
    """Have a row for each event that is lost, so that its number is not used again; yield the ranges."""
    sequences = [int(row[0]) for row in connection.execute("SELECT sequence FROM events ORDER BY sequence")]
    if image.mark and image.mark.last:
        # Should the process have died between deleting and marking, more is said to be lost than is.
        oldest, newest = image.mark.first, image.mark.last
    else:
        oldest, newest = (sequences[0], sequences[-1]) if sequences else (1, 0)
    before = oldest - 1
    for sequence in [*sequences, newest + 1]:
        if sequence > before + 1:
            rows = [(lost, 0.0, "", "{}", "[]", None, LOST) for lost in range(before + 1, sequence)]
            connection.executemany(_INSERT[Table.EVENTS], rows)
            yield before + 1, sequence - 1
        before = max(before, sequence)


def _lost_places(connection: apsw.Connection, image: Image, doubtful: Sequence[Salvaged]) -> Iterator[str]:
    """Give triggers whose row is lost the place before the oldest event; yield their UIDs."""
    found = [(str(row.values[0]), str(row.values[1])) for row in doubtful if row.table is Table.TRIGGERS]
    if not image.is_sound:
        found += [(str(uid), str(broker)) for uid, broker in connection.execute(_LOST_PLACES)]
    ((first,),) = connection.execute("SELECT coalesce(min(sequence), 1) FROM events")
    for uid, broker in found:
        row = (uid, broker, first - 1, first - 1)
        connection.execute("INSERT OR IGNORE INTO triggers VALUES (?,?,?,?)", row)
        if connection.changes():
            yield uid


def _take_doubtful(connection: apsw.Connection, doubtful: Sequence[Salvaged]) -> int:
    """Take copies of events from damaged pages, where the event alone can be trusted; return how many rows were not."""
    left = 0
    for row in doubtful:
        uid = row.values[1] if row.table is Table.QUEUED else row.values[0]
        known = bool(list(connection.execute("SELECT 1 FROM triggers WHERE uid = ?", (uid,))))
        if row.table is Table.QUEUED and known:
            # Now: when it was due may be what is damaged.
            entry, uid, _, _, *event = row.values
            connection.execute(_INSERT[Table.QUEUED], (entry, uid, 0.0, Origin.REDRIVEN.value, *event))
        elif row.table is Table.DEAD_LETTERS and known:
            connection.execute(_INSERT[Table.DEAD_LETTERS], row.values)
        elif row.table in (Table.QUEUED, Table.DEAD_LETTERS):
            event = list(row.values[4:] if row.table is Table.QUEUED else row.values[2:9])
            facts = ("", 0.0, None, 0, b"", 0)
            connection.execute(_INSERT[Table.DEAD_LETTERS], (str(uid), UNKNOWN_TRIGGER, *event, *facts))
        elif row.table is not Table.TRIGGERS:
            left += 1
    return left
