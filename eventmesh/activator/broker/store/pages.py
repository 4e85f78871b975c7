"""SQLite's database file read page by page, without SQLite: what a damaged file still holds.

Nothing here trusts what it reads: a length, a page number or a type that cannot be is `Unreadable`, and a circle of
pages ends where it closes. Source: the file format document of SQLite (fileformat2.html, sections 1.5, 1.6 and 2.1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from eventmesh.base.frozen import frozen

Value = int | float | str | bytes | None
Row = tuple[Value, ...]

FILE_HEADER = 100
"""Bytes of the first page before its tree begins."""

TABLE_LEAF, LEAF_HEADER = 0x0D, 8
"""First byte of a page that holds rows of a table, and bytes before its list of them."""

_FLOAT = struct.Struct(">d")
_WIDTHS = (0, 1, 2, 3, 4, 6, 8)
"""Bytes of the integers of serial types 0 to 6."""


class Unreadable(ValueError):
    """Bytes that cannot be what they should be."""


@frozen
class Leaf:
    """A row, and where it was found."""

    page: int
    rowid: int
    """0 in a table without rowids."""
    row: Row


class Pages:
    """The pages of one database file."""

    def __init__(self, file: BinaryIO, page_size: int) -> None:
        self._file = file
        self.size = page_size
        self.count = file.seek(0, 2) // page_size

    def page(self, number: int) -> bytes:
        """Return a page; raises Unreadable when there is none of that number."""
        if not 1 <= number <= self.count:
            raise Unreadable(f"there is no page {number}")
        self._file.seek((number - 1) * self.size)
        return self._file.read(self.size)

    def rows(self, number: int, *, everywhere: bool = False) -> Iterator[Leaf]:
        """Yield the rows of a table that a page holds, those that can be read.

        `everywhere`: nothing the page says of itself is believed, and each of its bytes may be where a row begins.
        """
        page, at = self.page(number), _start(number)
        if page[at] != TABLE_LEAF and not everywhere:
            return
        for cell in range(at + LEAF_HEADER, len(page)) if everywhere else _cells(page, at, LEAF_HEADER):
            try:
                length, begin = _varint(page, cell)
                rowid, begin = _varint(page, begin)
                yield Leaf(number, rowid, _record(self._payload(page, begin, length)))
            except (Unreadable, UnicodeDecodeError, IndexError):
                continue

    def _payload(self, page: bytes, at: int, length: int) -> bytes:
        if not 0 < length <= self.count * self.size:
            raise Unreadable(f"a row of {length} bytes is longer than the file, or has none")
        local = self._local(length)
        data = page[at : at + local]
        if length == local:
            return data
        parts, left = [data], length - local
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        while left > 0:
            overflow = self.page(following)
            parts.append(overflow[4 : 4 + left])
            left -= len(parts[-1])
            following = int.from_bytes(overflow[:4], "big")
        return b"".join(parts)

    def _local(self, length: int) -> int:
        """Return how many bytes of a row lie in the page itself."""
        most = self.size - 35
        if length <= most:
            return length
        least = (self.size - 12) * 32 // 255 - 23
        rest = least + (length - least) % (self.size - 4)
        return rest if rest <= most else least

    def free(self) -> Iterator[int]:
        """Yield the pages that hold nothing any more: what is in them was deleted."""
        first = self.page(1)
        trunk, seen = int.from_bytes(first[32:36], "big"), set[int]()
        while 1 <= trunk <= self.count and trunk not in seen:
            seen.add(trunk)
            yield trunk
            page = self.page(trunk)
            trunk, count = struct.unpack_from(">II", page)
            leaves = min(count, (self.size - 8) // 4)
            yield from struct.unpack_from(f">{leaves}I", page, 8)


def _start(number: int) -> int:
    return FILE_HEADER if number == 1 else 0


def _cells(page: bytes, at: int, header: int) -> Iterator[int]:
    count = int.from_bytes(page[at + 3 : at + 5], "big")
    first = at + header
    for place in range(first, min(first + 2 * count, len(page) - 1), 2):
        cell = int.from_bytes(page[place : place + 2], "big")
        if cell >= first:
            yield cell


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at`, and where the next thing begins; raises IndexError at the end of the data."""
    value = 0
    for place in range(8):
        byte = data[at + place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + place + 1
    value = value << 8 | data[at + 8]
    return (value - (1 << 64) if value >> 63 else value), at + 9


def _record(payload: bytes) -> Row:
    end, at = _varint(payload, 0)
    if not 0 < end <= len(payload):
        raise Unreadable("a row's header is longer than the row")
    values: list[Value] = []
    body = end
    while at < end:
        kind, at = _varint(payload, at)
        value, body = _value(payload, kind, body)
        values.append(value)
    if body != len(payload):
        raise Unreadable("a row is not as long as its header says")
    return tuple(values)


def _value(payload: bytes, kind: int, at: int) -> tuple[Value, int]:
    match kind:
        case 0:
            return None, at
        case 8 | 9:
            return kind - 8, at
        case 7 if at + 8 <= len(payload):
            return float(_FLOAT.unpack_from(payload, at)[0]), at + 8
        case 1 | 2 | 3 | 4 | 5 | 6:
            end = at + _WIDTHS[kind]
            return int.from_bytes(payload[at:end], "big", signed=True), end
        case _ if kind >= 12:
            end = at + (kind - 12) // 2
            data = payload[at:end]
            return (data if kind % 2 == 0 else data.decode()), end
    raise Unreadable(f"there is no serial type {kind}")
