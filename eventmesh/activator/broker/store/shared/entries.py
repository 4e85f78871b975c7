"""How changes lie in an entry of the journal: a frame with a checksum, JSON, and the bytes that JSON cannot hold."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

from eventmesh.activator.broker.store.arrivals import Arrival
from eventmesh.activator.broker.store.changes import Change
from eventmesh.activator.broker.store.duplicates import ForgetSeen
from eventmesh.activator.broker.store.errors import CorruptJournal, StoreError
from eventmesh.activator.broker.store.insertion import Accept
from eventmesh.activator.broker.store.places import ForgetTrigger, OpenTrigger
from eventmesh.activator.broker.store.records import Encoded, checksum_of
from eventmesh.activator.broker.store.settling import Settle
from eventmesh.activator.broker.store.shared.membership import Beat, Claim, Expel, Leave, Release
from eventmesh.activator.broker.store.sqlite_queue import Redrive
from eventmesh.activator.broker.store.sqlite_replays import AdvanceReplay, StartReplay, StopReplay
from eventmesh.activator.broker.store.trimming import LeaveTombstones, Trim, TrimAttempts
from eventmesh.activator.broker.store.values import NewEvent
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.event import Event

FORMAT = 1
"""Of what this version writes; a process that meets a higher one must not go on without what it says."""

_FRAME = struct.Struct(">BII16sQ")
"""Format, checksum of all behind it, length of the JSON, who wrote it, and its number among what that one wrote."""
_SUMMED_FROM = 5

_CHANGES: tuple[type[Change[Any]], ...] = (
    Accept,
    OpenTrigger,
    ForgetTrigger,
    Settle,
    Trim,
    TrimAttempts,
    LeaveTombstones,
    ForgetSeen,
    Redrive,
    StartReplay,
    AdvanceReplay,
    StopReplay,
    Beat,
    Leave,
    Expel,
    Claim,
    Release,
)
_BY_NAME = {change.__name__: change for change in _CHANGES}


@frozen
class Written:
    """A change as it goes into an entry."""

    head: bytes
    blobs: Sequence[bytes]

    @property
    def size(self) -> int:
        """Return the bytes it takes."""
        return len(self.head) + 1 + sum(map(len, self.blobs))


@frozen
class Author:
    """Who wrote an entry."""

    writer: bytes
    """Chosen by each process when it starts."""
    number: int


def write(change: Change[Any]) -> Written:
    """Return a change as it goes into an entry."""
    blobs: list[bytes] = []
    content = [type(change).__name__, *_written_fields(change, blobs), [len(blob) for blob in blobs]]
    head = json.dumps(content, ensure_ascii=False, separators=(",", ":"), check_circular=False)
    return Written(head.encode(), blobs)


ENTRY_OVERHEAD = _FRAME.size + 2
"""Bytes of an entry beside its changes."""


def pack(author: Author, changes: Sequence[Written]) -> bytes:
    """Return an entry."""
    head = b"[%b]" % b",".join(change.head for change in changes)
    rest = _FRAME.pack(FORMAT, 0, len(head), author.writer, author.number)[_SUMMED_FROM:]
    body = b"".join((rest, head, *(blob for change in changes for blob in change.blobs)))
    return _FRAME.pack(FORMAT, zlib.crc32(body), 0, b"", 0)[:_SUMMED_FROM] + body


def author_of(position: int, content: bytes) -> Author:
    """Return who wrote an entry; raises CorruptJournal when it is not what was written, StoreError when it is of a
    later format."""
    if content[:1] and content[0] > FORMAT:
        raise StoreError(
            f"entry {position} of the journal has format {content[0]}; this version of eventmesh reads up to {FORMAT}: "
            "update it"
        )
    if len(content) < _FRAME.size or zlib.crc32(content[_SUMMED_FROM:]) != _FRAME.unpack_from(content)[1]:
        raise CorruptJournal(f"entry {position} of the journal is not what was written")
    _, _, _, writer, number = _FRAME.unpack_from(content)
    return Author(writer, number)


def unpack(content: bytes) -> list[Change[Any]]:
    """Return the changes of an entry that `author_of` has checked; raises StoreError when one of them is unknown."""
    length = _FRAME.unpack_from(content)[2]
    at = _FRAME.size + length
    changes: list[Change[Any]] = []
    for name, *values, sizes in json.loads(content[_FRAME.size : at]):
        blobs = []
        for size in sizes:
            blobs.append(content[at : at + size])
            at += size
        if name not in _BY_NAME:
            raise StoreError(
                f"the journal holds a change {name!r}, which this version of eventmesh does not know: update it"
            )
        changes.append(_read_fields(_BY_NAME[name], values, blobs))
    return changes


def _written_fields(value: object, blobs: list[bytes]) -> list[object]:
    return [_written(getattr(value, name), blobs) for name in _names(cast(Any, type(value)))]


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _written(value: object, blobs: list[bytes]) -> object:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            blobs.append(value)
            return len(blobs) - 1
        case Enum():
            return value.value
        case Arrival():
            return _written_arrival(value, blobs)
        case _ if is_dataclass(value):
            return _written_fields(value, blobs)
        case _:
            return [_written(each, blobs) for each in cast(Sequence[object], value)]


def _written_arrival(arrival: Arrival, blobs: list[bytes]) -> list[object]:
    new, encoded = arrival.new, arrival.encoded
    data = _written(new.event.data, blobs)
    columns = (encoded.attributes, encoded.carried, encoded.checksum)
    return [new.broker, *columns, data, arrival.accepted_at, new.unique_for_s]


def _read_arrival(row: Sequence[Any], blobs: Sequence[bytes]) -> Arrival:
    broker, attributes, carried, checksum, blob, accepted_at, unique_for_s = row
    data = None if blob is None else blobs[blob]
    if checksum_of(broker, attributes, carried, data) != checksum:
        # It was so when it was accepted: the checksum of the entry holds.
        raise CorruptJournal(f"an event of broker {broker} in the journal does not match its checksum")
    event = Event.checked(json.loads(attributes), data)
    headers = tuple((name, value) for name, value in json.loads(carried))
    new = NewEvent(broker, event, headers, unique_for_s)
    return Arrival(new, Encoded(attributes, carried, checksum), accepted_at)


Read = Callable[[Any, Sequence[bytes]], Any]


def _read_fields(kind: type[Any], values: Sequence[Any], blobs: Sequence[bytes]) -> Any:
    return kind(*[read(value, blobs) for read, value in zip(_readers(cast(Any, kind)), values, strict=True)])


@cache
def _readers(kind: Any) -> tuple[Read, ...]:
    hints = get_type_hints(kind)
    return tuple(_reader(hints[name]) for name in _names(kind))


@cache
def _reader(hint: Any) -> Read:
    """Return what reads a value of that type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is bytes:
        return lambda value, blobs: blobs[value]
    if hint is Arrival:
        return _read_arrival
    if origin is UnionType:
        (inner,) = (each for each in arguments if each is not NoneType)
        read = _reader(inner)
        return lambda value, blobs: None if value is None else read(value, blobs)
    if origin is tuple:
        readers = [_reader(each) for each in arguments]
        return lambda value, blobs: tuple(read(each, blobs) for read, each in zip(readers, value, strict=True))
    if origin is not None:
        (each_is,) = map(_reader, arguments)
        return lambda value, blobs: [each_is(each, blobs) for each in value]
    if issubclass(hint, Enum):
        return lambda value, _: hint(value)
    if is_dataclass(hint):
        return lambda value, blobs: _read_fields(cast(type[Any], hint), value, blobs)
    return lambda value, _: value
