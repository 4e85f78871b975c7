"""What both dialects read alike: numbers, texts, bytes, and the bookkeeping of what is referred to later."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.protocols.hessian.values import MAX_DEPTH, HessianError, JavaObject
from eventmesh.protocols.hessian.writer import EPOCH

MAX_CLASSES: Final = 1_024
"""Classes defined in one stream, and fields of one class: generated beans have some dozens."""

_NO_SCALAR: Final = object()
"""What `_scalar` returns for what is none; None is one."""


@frozen
class Pieces:
    """The tags of a text, or of bytes, which come in pieces that tell their length."""

    more: int
    """Of a piece with another one behind it."""
    last: int
    short: range
    """Of a last piece whose length is in the tag."""
    medium: range = range(0)
    """Of a last piece whose length begins in the tag."""

    def __contains__(self, tag: int) -> bool:
        """Return whether `tag` begins one."""
        return tag in (self.more, self.last) or tag in self.short or tag in self.medium


class Reader(ABC):
    """Reads values one behind the other. `HessianError` for anything that is no Hessian of its dialect.

    What is claimed costs nothing: each value takes a byte at least, and is made when its bytes are there.
    """

    TEXT: Pieces
    BYTES: Pieces
    DEFINITION: int
    LONG_32: int
    """Of a long in 32 bits."""
    DOUBLE: int
    """Of 0.0; behind it 1.0, a double that is a whole number of 8 bits, one of 16, and one in 32 bits."""
    DATE: int

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._classes: list[tuple[str, list[str]]] = []
        self._types: list[str] = []
        self._seen: list[object] = []

    @property
    def at_end(self) -> bool:
        """Return whether nothing is left."""
        return self._at >= len(self._data)

    def read(self, depth: int = 0) -> object:
        """Return the next value."""
        if depth > MAX_DEPTH:
            raise HessianError(f"values nest deeper than {MAX_DEPTH}")
        tag = self._byte()
        while tag == self.DEFINITION:
            self._define()
            tag = self._byte()
        scalar = self._scalar(tag)
        return self._composite(tag, depth) if scalar is _NO_SCALAR else scalar

    def read_scalar(self) -> object:
        """Return the next value, in which there can be no other."""
        tag = self._byte()
        scalar = self._scalar(tag)
        if scalar is _NO_SCALAR:
            raise HessianError(f"expected a number or a text, found 0x{tag:02x}")
        return scalar

    def read_int(self) -> int:
        """Return the next value, which must be a whole number."""
        value = self.read_scalar()
        if isinstance(value, bool) or not isinstance(value, int):
            raise HessianError(f"expected a number, found {type(value).__name__}")
        return value

    def read_text(self) -> str:
        """Return the next value, which must be a text."""
        value = self.read_scalar()
        if not isinstance(value, str):
            raise HessianError(f"expected a text, found {type(value).__name__}")
        return value

    def _scalar(self, tag: int) -> object:
        match tag:
            case 0x4E:
                return None
            case 0x54 | 0x46:
                return tag == 0x54
            case 0x44:
                return struct.unpack(">d", self._take(8))[0]
            case self.DATE:
                return self._date(self._signed(8))
            case _ if tag in self.TEXT:
                return "".join(self._text(units) for units in self._pieces(tag, self.TEXT))
            case _ if tag in self.BYTES:
                return b"".join(self._take(count) for count in self._pieces(tag, self.BYTES))
            case _ if self.DOUBLE <= tag <= self.DOUBLE + 4:
                return self._double(tag - self.DOUBLE)
        return self._whole(tag)

    def _double(self, form: int) -> float:
        match form:
            case 2:
                return float(self._signed(1))
            case 3:
                return float(self._signed(2))
            case 4:
                return self._double_32()
        return float(form)

    def _whole(self, tag: int) -> object:
        """Return an int or long; `_NO_SCALAR` when `tag` begins none."""
        match tag:
            case 0x49 | self.LONG_32:
                return self._signed(4)
            case 0x4C:
                return self._signed(8)
            case _ if 0x80 <= tag <= 0xBF:
                return tag - 0x90
            case _ if 0xC0 <= tag <= 0xCF:
                return ((tag - 0xC8) << 8) + self._byte()
            case _ if 0xD0 <= tag <= 0xD7:
                return ((tag - 0xD4) << 16) + self._short()
            case _ if 0xD8 <= tag <= 0xEF:
                return tag - 0xE0
            case _ if 0xF0 <= tag <= 0xFF:
                return ((tag - 0xF8) << 8) + self._byte()
            case _ if 0x38 <= tag <= 0x3F:
                return ((tag - 0x3C) << 16) + self._short()
        return _NO_SCALAR

    def _pieces(self, tag: int, form: Pieces) -> Iterator[int]:
        """Yield the length of each piece; who asks for the next has taken the one before."""
        while tag == form.more:
            yield self._short()
            tag = self._byte()
        if tag in form.short:
            yield tag - form.short.start
        elif tag in form.medium:
            yield ((tag - form.medium.start) << 8) + self._byte()
        elif tag == form.last:
            yield self._short()
        else:
            raise HessianError(f"0x{tag:02x} goes on with no piece")

    @abstractmethod
    def _double_32(self) -> float: ...

    @abstractmethod
    def _define(self) -> None: ...

    @abstractmethod
    def _composite(self, tag: int, depth: int) -> object: ...

    def _add_class(self, name: str, count: int) -> None:
        if len(self._classes) >= MAX_CLASSES or count > MAX_CLASSES:
            raise HessianError(f"more than {MAX_CLASSES} classes, or fields of one")
        self._classes.append((name, [self.read_text() for _ in range(count)]))

    def _instance(self, number: int, depth: int) -> JavaObject:
        if not 0 <= number < len(self._classes):
            raise HessianError(f"an instance of class {number}, of which there are {len(self._classes)}")
        name, names = self._classes[number]
        fields: dict[str, object] = {}
        made = JavaObject(name, fields)
        self._seen.append(made)
        for field in names:
            fields[field] = self.read(depth + 1)
        return made

    def _items(self, into: list[object], count: int | None, end: int, depth: int) -> list[object]:
        """Read `count` values, or up to the mark `end`, into a list that may be referred to meanwhile."""
        self._seen.append(into)
        while (len(into) < count) if count is not None else not self._ends(end):
            into.append(self.read(depth + 1))
        return into

    def _pairs(self, end: int, depth: int) -> dict[object, object]:
        made: dict[object, object] = {}
        self._seen.append(made)
        while not self._ends(end):
            key = self.read(depth + 1)
            if not isinstance(key, str | int | float | bool | datetime | None):
                raise HessianError(f"a map has a {type(key).__name__} for a key")
            made[key] = self.read(depth + 1)
        return made

    def _ends(self, mark: int) -> bool:
        if self.at_end:
            raise HessianError("cut off")
        if self._data[self._at] != mark:
            return False
        self._at += 1
        return True

    def _again(self, number: int) -> object:
        if not 0 <= number < len(self._seen):
            raise HessianError(f"refers to value {number}, of which there are {len(self._seen)}")
        return self._seen[number]

    def _type_again(self, number: int) -> str:
        if not 0 <= number < len(self._types):
            raise HessianError(f"refers to type {number}, of which there are {len(self._types)}")
        return self._types[number]

    def _date(self, milliseconds: int) -> datetime:
        try:
            return EPOCH + timedelta(milliseconds=milliseconds)
        except OverflowError:
            raise HessianError(f"a date of {milliseconds} ms is none of a calendar") from None

    def _text(self, units: int) -> str:
        """Return a text of so many UTF-16 units. Each is written by itself, so that pairs come as two."""
        ahead = self._data[self._at : self._at + units]
        if len(ahead) == units and ahead.isascii():
            self._at += units
            return ahead.decode()
        start = self._at
        while units > 0:
            lead = self._byte()
            # Some writers have four bytes for a pair, as UTF-8 has.
            self._take((lead >= 0x80) + (lead >= 0xE0) + (lead >= 0xF0))
            units -= 2 if lead >= 0xF0 else 1
        try:
            text = self._data[start : self._at].decode("utf-8", "surrogatepass")
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeError:
            raise HessianError("a text is not UTF-8") from None

    def _byte(self) -> int:
        return self._take(1)[0]

    def _short(self) -> int:
        return int.from_bytes(self._take(2), "big")

    def _signed(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big", signed=True)

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count or count < 0:
            raise HessianError("cut off")
        self._at += count
        return taken
