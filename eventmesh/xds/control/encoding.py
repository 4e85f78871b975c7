"""Envoy-data-plane messages without what makes them slow: made without validation, encoded by compiled writers.

The library validates at run time what the type checker has checked already: the first message of each type costs
2-85 ms for its schema, and its serialiser validates the whole subtree again at every level of nesting, which makes
it three orders of magnitude slower than the walk here. The bytes are the same (tests compare them), except
that map entries are always sorted by key, so that equal configurations have equal versions on every replica.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from functools import cache
from typing import Any, ParamSpec, TypeVar, cast

import betterproto2

from eventmesh.xds.control.protobuf import BYTES, FIXED32, FIXED64, VARINT, delimited, tag, varint

P = ParamSpec("P")
M = TypeVar("M")

Writer = Callable[[Any], bytes]
"""Encodes one value. `Any` because a message field may hold whatever the schema says."""

_VARINTS = {
    betterproto2.TYPE_ENUM,
    betterproto2.TYPE_BOOL,
    betterproto2.TYPE_INT32,
    betterproto2.TYPE_INT64,
    betterproto2.TYPE_UINT32,
    betterproto2.TYPE_UINT64,
}
_ZIGZAG = {betterproto2.TYPE_SINT32, betterproto2.TYPE_SINT64}
_FIXED = {
    betterproto2.TYPE_DOUBLE: struct.Struct("<d"),
    betterproto2.TYPE_FLOAT: struct.Struct("<f"),
    betterproto2.TYPE_FIXED32: struct.Struct("<I"),
    betterproto2.TYPE_SFIXED32: struct.Struct("<i"),
    betterproto2.TYPE_FIXED64: struct.Struct("<Q"),
    betterproto2.TYPE_SFIXED64: struct.Struct("<q"),
}


def made(cls: Callable[P, M], *_: P.args, **fields: P.kwargs) -> M:
    """Return `cls(**fields)` as the type checker sees it, without validation at run time; for `encode` alone."""
    message: M = object.__new__(cast(type[M], cls))
    vars(message).update(fields)
    return message


def encode(message: betterproto2.Message) -> bytes:
    """Return the protocol-buffer bytes of `message`; equal to `bytes(message)` when its maps are sorted."""
    parts = []
    values = vars(message)
    for name, default, write in _writers(type(message)):
        value = values.get(name)
        if value is None or value == default:
            continue
        parts.append(write(value))
    return b"".join(parts)


@cache
def _writers(cls: type[betterproto2.Message]) -> tuple[tuple[str, object, Writer], ...]:
    # Every generated message is a dataclass by its decorator; its base is not.
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(cls)  # type: ignore[arg-type]
    return tuple(
        (field.name, _default(field), _field_writer(betterproto2.FieldMetadata.get(field))) for field in fields
    )


def _default(field: dataclasses.Field[Any]) -> object:
    # The library gives every field a factory: the zero of its kind, None where absence is a value.
    return field.default_factory() if callable(field.default_factory) else None


def _field_writer(field: betterproto2.FieldMetadata) -> Writer:
    if field.map_meta is not None:
        return _map_writer(field.number, *field.map_meta)
    wire_type, payload = _payload_writer(field)
    key = tag(field.number, wire_type)
    if not field.repeated:
        return _single(key, wire_type, payload)
    if wire_type != BYTES:
        # proto3 packs repeated numbers into one delimited field.
        return lambda values: delimited(field.number, b"".join(map(payload, values)))
    one = _single(key, wire_type, payload)
    return lambda values: b"".join(map(one, values))


def _single(key: bytes, wire_type: int, payload: Writer) -> Writer:
    if wire_type != BYTES:
        return lambda value: key + payload(value)

    def write(value: Any) -> bytes:
        body = payload(value)
        return key + varint(len(body)) + body

    return write


def _map_writer(number: int, key_meta: betterproto2.FieldMetadata, value_meta: betterproto2.FieldMetadata) -> Writer:
    write_key, write_value = _field_writer(key_meta), _field_writer(value_meta)
    return lambda entries: b"".join(
        delimited(number, write_key(key) + write_value(value)) for key, value in sorted(entries.items())
    )


def _payload_writer(field: betterproto2.FieldMetadata) -> tuple[int, Writer]:
    kind = field.proto_type
    if kind in _VARINTS:
        return VARINT, varint
    if kind in _ZIGZAG:
        return VARINT, lambda value: varint(value << 1 if value >= 0 else (value << 1) ^ ~0)
    if kind in _FIXED:
        layout = _FIXED[kind]
        return (FIXED32 if layout.size == 4 else FIXED64), layout.pack
    if kind == betterproto2.TYPE_STRING:
        return BYTES, str.encode
    if kind == betterproto2.TYPE_BYTES:
        return BYTES, bytes
    if field.unwrap is None:
        return BYTES, encode
    wrapper: Any = field.unwrap()
    return BYTES, lambda value: encode(wrapper.from_wrapped(value))
