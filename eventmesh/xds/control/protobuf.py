"""Protocol-buffer bytes, written and read without a message library: varints, tags, bounded fields.

The reader serves what clients send (`requests`); resources are written by `encoding`, envelopes by `responses`.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of the encoding (protobuf.dev, "Encoding")."""

MAX_VARINT_BYTES = 10
"""Longest varint of the encoding: 64 bits in groups of seven."""


class WireError(ValueError):
    """The bytes are not a protocol-buffer message; `str()` says where they stop making sense."""


def varint(value: int) -> bytes:
    """Return `value` (a negative one as its 64-bit two's complement) in groups of seven bits."""
    if value < 0:
        value += 1 << 64
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire_type: int) -> bytes:
    """Return the key of the field `number`."""
    return varint(number << 3 | wire_type)


def delimited(number: int, payload: bytes) -> bytes:
    """Return a field of bytes, a string or an embedded message, empty ones included."""
    return tag(number, BYTES) + varint(len(payload)) + payload


def text(number: int, value: str) -> bytes:
    """Return a string field; nothing at all for the empty string, as proto3 wants it."""
    return delimited(number, value.encode()) if value else b""


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number at `at` and the position behind it; raises WireError when it does not end."""
    value = shift = 0
    for position in range(at, min(at + MAX_VARINT_BYTES, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + 1
        shift += 7
    raise WireError(f"varint at byte {at} does not end")


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (number, value) of every field in order: an int for varints, the raw bytes for all others.

    Raises WireError at the first field that reaches beyond `data` or has an unknown wire type.
    """
    at, end = 0, len(data)
    while at < end:
        key, at = read_varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, at = read_varint(data, at)
            yield number, value
            continue
        if wire_type == BYTES:
            size, at = read_varint(data, at)
        elif wire_type in (FIXED32, FIXED64):
            size = 4 if wire_type == FIXED32 else 8
        else:
            raise WireError(f"field {number} has the wire type {wire_type}; groups are not accepted")
        if size > end - at:
            raise WireError(f"field {number} claims {size} bytes; {end - at} are left")
        yield number, data[at : at + size]
        at += size
