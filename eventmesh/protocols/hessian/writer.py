"""What both dialects write alike. Every value takes its long form, which every reader of either dialect knows."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from eventmesh.protocols.hessian.values import (
    INT_RANGE,
    LONG_RANGE,
    MAX_DEPTH,
    HessianError,
    JavaObject,
    Long,
    TypedList,
)

CHUNK: Final = 0x8000
"""UTF-16 units of a string, or bytes, behind one length of 16 bits."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Writer(ABC):
    """One stream of values; classes are defined once in it. `HessianError` for what has no form."""

    STRING_CHUNK: bytes
    BINARY_CHUNK: bytes
    DATE: bytes
    MAP: bytes
    MAP_END: bytes
    INSTANCE: bytes

    def __init__(self) -> None:
        self._out = bytearray()
        self._classes: dict[tuple[str, tuple[str, ...]], int] = {}

    def written(self) -> bytes:
        """Return all that was written."""
        return bytes(self._out)

    def write(self, value: object, depth: int = 0) -> None:
        """Add one value at the end."""
        if depth > MAX_DEPTH:
            raise HessianError(f"values nest deeper than {MAX_DEPTH}")
        match value:
            case list():
                self._list("", value, depth)
            case TypedList(type_name, items):
                self._list(type_name, items, depth)
            case Mapping():
                self._map(value, depth)
            case JavaObject():
                self._object(value, depth)
            case _:
                self._scalar(value)

    def _scalar(self, value: object) -> None:
        match value:
            case None:
                self._out += b"N"
            case bool():
                self._out += b"T" if value else b"F"
            case int():
                self._integer(value)
            case Long(number):
                self._long(number)
            case float():
                self._out += b"D" + struct.pack(">d", value)
            case str():
                self._string(value)
            case bytes():
                self._binary(value)
            case datetime():
                self._out += self.DATE + struct.pack(">q", round((value - EPOCH).total_seconds() * 1000))
            case _:
                raise HessianError(f"{type(value).__name__} has no form in Hessian")

    def _integer(self, value: int) -> None:
        if value in INT_RANGE:
            self._out += b"I" + struct.pack(">i", value)
        else:
            self._long(value)

    def _long(self, value: int) -> None:
        if value not in LONG_RANGE:
            raise HessianError(f"{value} is no number of 64 bits")
        self._out += b"L" + struct.pack(">q", value)

    def _string(self, text: str) -> None:
        units = text.encode("utf-16-be", "surrogatepass")
        at = 0
        while len(units) - at > 2 * CHUNK:
            end = at + 2 * CHUNK
            # A pair is not torn apart: Java joins chunks, others decode each by itself.
            end -= 2 if 0xD8 <= units[end - 2] <= 0xDB else 0
            self._out += self.STRING_CHUNK + _counted(units[at:end])
            at = end
        self._out += b"S" + _counted(units[at:])

    def _binary(self, data: bytes) -> None:
        at = 0
        while len(data) - at > CHUNK:
            self._out += self.BINARY_CHUNK + struct.pack(">H", CHUNK) + data[at : at + CHUNK]
            at += CHUNK
        self._out += b"B" + struct.pack(">H", len(data) - at) + data[at:]

    def _object(self, value: JavaObject, depth: int) -> None:
        names = tuple(value.fields)
        number = self._classes.get((value.class_name, names))
        if number is None:
            number = self._classes[value.class_name, names] = len(self._classes)
            self._define(value.class_name)
            self._integer(len(names))
            for name in names:
                self._string(name)
        self._out += self.INSTANCE
        self._integer(number)
        self._items(value.fields.values(), depth)

    def _map(self, value: Mapping[object, object], depth: int) -> None:
        self._out += self.MAP
        for pair in value.items():
            self._items(pair, depth)
        self._out += self.MAP_END

    def _items(self, items: Iterable[object], depth: int) -> None:
        for item in items:
            self.write(item, depth + 1)

    @abstractmethod
    def _list(self, type_name: str, items: list[object], depth: int) -> None: ...

    @abstractmethod
    def _define(self, class_name: str) -> None:
        """Begin the definition of a class, with its name."""


def _counted(units: bytes) -> bytes:
    """Return a text of UTF-16 units: their number, then each unit by itself in UTF-8, as Java writes it."""
    text = "".join(map(chr, struct.unpack(f">{len(units) // 2}H", units)))
    return struct.pack(">H", len(units) // 2) + text.encode("utf-8", "surrogatepass")
