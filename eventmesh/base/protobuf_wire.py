"""The wire format of Protocol Buffers, field by field: for the few small messages that are read without a schema.

Source: protobuf.dev/programming-guides/encoding. Groups, which nobody writes any more, are refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""

MAX_VARINT_BYTES: Final = 10
"""What a number of 64 bits takes."""

UINT64_WRAP: Final = 1 << 64
INT64_MAX: Final = (1 << 63) - 1

Value = bytes | int | float
"""A length-delimited field or one of four bytes, a varint (unsigned), or a double."""


class WireError(ValueError):
    """The bytes are no message; it says at which of them."""


def wire_fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield (field number, value) in the order of the bytes. Raises WireError."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise WireError(f"field number 0 at byte {at}")
        match wire:
            case 0:
                value, at = _varint(data, at)
                yield number, value
            case 1:
                yield number, struct.unpack("<d", _take(data, at, 8))[0]
                at += 8
            case 2:
                length, at = _varint(data, at)
                yield number, _take(data, at, length)
                at += length
            case 5:
                yield number, _take(data, at, 4)
                at += 4
            case _:
                raise WireError(f"wire type {wire} at byte {at}")


def signed(value: int) -> int:
    """Return what a varint is as an int64 (and an int32, which is written as one)."""
    return value - UINT64_WRAP if value > INT64_MAX else value


def _take(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise WireError(f"cut short: {length} bytes are announced at byte {at}, {len(data) - at} are there")
    return data[at : at + length]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value % UINT64_WRAP, at + index + 1
    raise WireError(f"cut short or overlong number at byte {at}")
