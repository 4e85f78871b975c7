"""Writes messages as protobuf bytes: fields in the order of their numbers, map keys sorted, defaults left out."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TypeVar

from eventmesh.xds.schema.document import is_default
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.schema.types import Field, Kind, MessageType, Policy, Shape, message_type

T = TypeVar("T")

_VARINT, _FIXED64, _BYTES = 0, 1, 2
_WIRE_TYPES = {
    Kind.BOOL: _VARINT,
    Kind.INT32: _VARINT,
    Kind.INT64: _VARINT,
    Kind.UINT32: _VARINT,
    Kind.UINT64: _VARINT,
    Kind.ENUM: _VARINT,
    Kind.DOUBLE: _FIXED64,
}


def write_wire(message_name: str, fields: Mapping[str, object]) -> bytes:
    """Return the bytes of the message `message_name` (in full).

    Values are what `tree.Message` holds; a message may also be given as a plain mapping of its fields. Raises
    KeyError, TypeError or ValueError for what the table does not know: bugs of the caller.
    """
    return _message(message_type(message_name), fields)


def _message(owner: MessageType, fields: Mapping[str, object]) -> bytes:
    out = bytearray()
    chosen = sorted(((owner.by_name[name], value) for name, value in fields.items()), key=lambda pair: pair[0].number)
    for field, value in chosen:
        if field.policy is not Policy.SUPPORTED:
            raise ValueError(f"{owner.name}.{field.name} is not supported, so it cannot be written")
        match field.shape:
            case Shape.REPEATED if _WIRE_TYPES.get(field.kind) == _VARINT:
                packed = b"".join(_value(field, item) for item in _items(value))
                out += _tagged(field.number, Kind.BYTES, packed) if packed else b""
            case Shape.REPEATED:
                for item in _items(value):
                    out += _tagged(field.number, field.kind, _value(field, item))
            case Shape.MAP:
                for key, item in sorted(_members(value).items()):
                    entry = _tagged(1, Kind.STRING, key.encode()) + _tagged(2, field.kind, _value(field, item))
                    out += _tagged(field.number, Kind.MESSAGE, entry)
            case Shape.OPTIONAL:
                inner = _tagged(1, field.kind, _value(field, value)) if value else b""
                out += _tagged(field.number, Kind.MESSAGE, inner)
            case Shape.SINGLE:
                if not is_default(field, value):
                    out += _tagged(field.number, field.kind, _value(field, value))
    return bytes(out)


def _value(field: Field, value: object) -> bytes:
    match field.kind:
        case Kind.MESSAGE:
            return _message(field.message, value.fields if isinstance(value, Message) else _members(value))
        case Kind.ANY:
            return _any(_a(Message, value))
        case Kind.STRING:
            return _a(str, value).encode()
        case Kind.BYTES:
            return _a(bytes, value)
        case Kind.STRUCT:
            return _struct(_members(value))
        case Kind.DURATION:
            return _duration(_a(float, value))
        case Kind.DOUBLE:
            return struct.pack("<d", _a(float, value))
        case Kind.ENUM:
            return _varint(field.enum.by_name[_a(str, value)])
        case _:
            return _varint(_a(int, value))


def _any(message: Message) -> bytes:
    url = _tagged(1, Kind.STRING, message.schema.type_url.encode())
    inner = _message(message.schema, message.fields)
    return url + _tagged(2, Kind.BYTES, inner) if inner else url


def _duration(seconds: float) -> bytes:
    nanos_in_all = round(seconds * 1e9)
    whole = int(nanos_in_all / 10**9)
    nanos = nanos_in_all - whole * 10**9
    parts = ((1, whole), (2, nanos))
    return b"".join(_tagged(number, Kind.INT32, _varint(part)) for number, part in parts if part)


def _struct(members: Mapping[str, object]) -> bytes:
    out = bytearray()
    for key, value in sorted(members.items()):
        entry = _tagged(1, Kind.STRING, key.encode()) + _tagged(2, Kind.MESSAGE, _json(value))
        out += _tagged(1, Kind.MESSAGE, entry)
    return bytes(out)


def _json(value: object) -> bytes:
    # The members of google.protobuf.Value's oneof are written even when they hold a default.
    match value:
        case None:
            return _tagged(1, Kind.ENUM, _varint(0))
        case bool():
            return _tagged(4, Kind.BOOL, _varint(value))
        case int() | float():
            return _tagged(2, Kind.DOUBLE, struct.pack("<d", value))
        case str():
            return _tagged(3, Kind.STRING, value.encode())
        case Mapping():
            return _tagged(5, Kind.MESSAGE, _struct(value))
        case Sequence():
            items = b"".join(_tagged(1, Kind.MESSAGE, _json(item)) for item in value)
            return _tagged(6, Kind.MESSAGE, items)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _tagged(number: int, kind: Kind, payload: bytes) -> bytes:
    wire_type = _WIRE_TYPES.get(kind, _BYTES)
    key = _varint(number << 3 | wire_type)
    return key + _varint(len(payload)) + payload if wire_type == _BYTES else key + payload


def _varint(value: int) -> bytes:
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, tuple) else _a(list, value)


def _members(value: object) -> Mapping[str, object]:
    return _a(dict, value)


def _a(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value
