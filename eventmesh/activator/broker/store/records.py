"""How an event lies in a row: three text or blob columns and a checksum over all of them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from eventmesh.activator.broker.store.errors import DamagedEvent
from eventmesh.activator.broker.store.values import NewEvent, StoredEvent
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.event import Event

COLUMNS = "sequence, accepted_at, broker, attributes, carried, data, checksum"
"""The columns of a `Record`, in every table that holds events."""

BY_SEQUENCE = f"SELECT {COLUMNS} FROM events WHERE sequence = ?"  # noqa: S608  # constants
"""What `from_rows` reads."""

LOST = -1
"""In the place of a checksum: the event was lost to damage, and only its number is left."""

NONE_CARRIED = "[]"
"""What most events carry."""

_decode = json.JSONDecoder().decode
"""What `json.loads` does after it has looked at what it is given, which is asked for each event."""

_PLACE = struct.Struct(">qd")
"""Sequence and time of acceptance."""


@frozen
class Record:
    """One row, as written."""

    sequence: int
    accepted_at: float
    broker: str
    attributes: str
    carried: str
    data: bytes | None
    checksum: int


def tombstone(sequence: int, accepted_at: float) -> Record:
    """Return what is left of an event that is gone while one before it stays: its number, and when it was accepted.

    It is of no broker, so that nobody comes across it, and has a checksum like any other row.
    """
    checksum = with_place(checksum_of("", "{}", NONE_CARRIED, None), sequence, accepted_at)
    return Record(sequence, accepted_at, "", "{}", NONE_CARRIED, None, checksum)


@frozen
class Encoded:
    """What of a row can be made before its sequence is known."""

    attributes: str
    carried: str
    checksum: int
    """Over all but the sequence and the time."""


def encode(new: NewEvent) -> Encoded:
    """Return the columns of `new`."""
    attributes = json.dumps(dict(new.event.attributes), ensure_ascii=False, separators=(",", ":"))
    carried = json.dumps(new.carried, ensure_ascii=False, separators=(",", ":")) if new.carried else NONE_CARRIED
    return Encoded(attributes, carried, checksum_of(new.broker, attributes, carried, new.event.data))


def with_place(checksum: int, sequence: int, accepted_at: float) -> int:
    """Return the checksum of the whole row: a row in the wrong place, or of another time, is damage too."""
    return zlib.crc32(_PLACE.pack(sequence, accepted_at), checksum)


def _before_format_7(checksum: int, sequence: int) -> int:
    """Return the checksum of a row that was written before its time was part of it."""
    return zlib.crc32(sequence.to_bytes(8, "big"), checksum)


def from_record(record: Record) -> StoredEvent:
    """Return the event of a row; raises DamagedEvent when it is not what was written."""
    if record.checksum == LOST:
        raise DamagedEvent(record.sequence, "was lost when the store was damaged")
    wanted = checksum_of(record.broker, record.attributes, record.carried, record.data)
    if record.checksum != with_place(
        wanted, record.sequence, record.accepted_at
    ) and record.checksum != _before_format_7(wanted, record.sequence):
        raise DamagedEvent(record.sequence, f"of broker {record.broker} does not match its checksum")
    carried = (
        tuple((name, value) for name, value in json.loads(record.carried)) if record.carried != NONE_CARRIED else ()
    )
    # The checksum says that these are the attributes that were checked on arrival.
    event = Event.checked(_decode(record.attributes), record.data)
    return StoredEvent(record.sequence, record.accepted_at, record.broker, event, carried)


def from_rows(rows: Sequence[tuple[Any, ...]]) -> StoredEvent | None:
    """Return the event that has a number; None when no row has it, or a tombstone. Raises DamagedEvent."""
    stored = from_record(Record(*rows[0])) if rows else None
    return stored if stored is not None and stored.broker else None


def checksum_of(broker: str, attributes: str, carried: str, data: bytes | None) -> int:
    """Return the checksum over all of a row but its place."""
    # SQLite checks frames of its log, not pages of its file: a flipped bit on disk would otherwise be delivered.
    head = f"{broker}\n{attributes}\n{carried}\n{data is None}\n".encode()
    return zlib.crc32(data or b"", zlib.crc32(head))
