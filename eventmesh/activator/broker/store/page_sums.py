"""`events.db-sums`, the file that tells whether the database is still what was written.

SQLite checks the pages of its log and not those of its database: a bit that flips on disk moves a trigger's place, or
hides an event from its index, and nobody notices. This file holds a checksum of each page, a copy of the first page
(which says where everything else begins), and how much of the log had been synced when the last acknowledgement left.

It is never ahead of what it describes: sums are written after the pages, and the mark after the sync. A page that is in
the log as well may differ from its sum, since a crash may have come between the two; the log's version counts.

Layout: magic and page size; at 64 the mark; at 4096 the copy of page 1; from 8192 on eight bytes a page, its CRC-32 and
the complement of that, so that a flip in here is not taken for one over there.
"""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from eventmesh.activator.broker.store.correction import correct_page
from eventmesh.activator.broker.store.errors import CorruptStore
from eventmesh.base.frozen import frozen

_MAGIC = b"eventmesh sums 1"
_HEAD = struct.Struct(">16sII")
"""Magic, page size, its complement."""
_MARK = struct.Struct(">3I2Q")
"""Salts of the log (2), frames, sequences (2)."""
_CRC = struct.Struct(">I")
_MARK_AT, _COPY_AT, _SUMS_AT = 64, 4096, 8192
_ENTRY = 8

PAGE_SIZE = 4096
"""SQLite's default, and the size of all pages of a store: the copy of page 1 has room for no more."""

SLICE_PAGES = 1_024
"""Pages checked at once: 4 MiB, a few milliseconds during which no event is accepted."""

_ALL_ONES = 0xFFFFFFFF


@frozen
class Mark:
    """How much of the log was on disk when the last write was acknowledged."""

    salts: tuple[int, int]
    """Of the log that is meant: it is begun anew, with others, again and again."""
    frames: int
    """0: all of it is in the database."""
    first: int
    """Sequence of the oldest event; 0: there is none."""
    last: int
    """Sequence of the newest event."""


def sums_of(database: Path) -> Path:
    """Return the path of the sums of a database."""
    return database.with_name(f"{database.name}-sums")


class PageSums:
    """The open file, and the database beside it. Used by one thread at a time."""

    def __init__(self, database: Path) -> None:
        """Open or create; raises CorruptStore when the file is something else."""
        self.path = sums_of(database)
        # Closing a descriptor of the database drops this process's locks on it: to be closed behind its connections.
        self._database = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        head = os.pread(self._file, _HEAD.size, 0)
        self.is_new = len(head) < _HEAD.size
        if self.is_new:
            os.pwrite(self._file, _HEAD.pack(_MAGIC, PAGE_SIZE, PAGE_SIZE ^ _ALL_ONES), 0)
        elif (page_size := _page_size(head)) not in (0, PAGE_SIZE):
            self.close()
            raise CorruptStore(f"{self.path} is made for pages of {page_size} bytes; those of a store have {PAGE_SIZE}")

    def close(self) -> None:
        """Release the files."""
        os.close(self._file)
        os.close(self._database)

    @property
    def pages(self) -> int:
        """Return how many pages the database has, or had."""
        summed = max(0, os.fstat(self._file).st_size - _SUMS_AT) // _ENTRY
        return max(summed, os.fstat(self._database).st_size // PAGE_SIZE)

    def mark(self) -> Mark | None:
        """Return what was acknowledged last; None when that cannot be read."""
        raw = os.pread(self._file, _MARK.size + _CRC.size, _MARK_AT)
        if len(raw) < _MARK.size + _CRC.size or _CRC.pack(zlib.crc32(raw[: _MARK.size])) != raw[_MARK.size :]:
            return None
        salt1, salt2, frames, first, last = _MARK.unpack_from(raw)
        return Mark((salt1, salt2), frames, first, last)

    def acknowledge(self, mark: Mark) -> None:
        """Write `mark` down, without a sync: it tells damage from a crash of the process, which the kernel outlives."""
        raw = _MARK.pack(*mark.salts, mark.frames, mark.first, mark.last)
        os.pwrite(self._file, raw + _CRC.pack(zlib.crc32(raw)), _MARK_AT)

    def corrected(self, number: int) -> bytes | None:
        """Return a page that differs from its sum as it was; None when that cannot be told."""
        crc, complement = array("I", self._entries(number, 1))
        if crc ^ complement != _ALL_ONES:
            return None
        if number == 1:
            copy = os.pread(self._file, PAGE_SIZE, _COPY_AT)
            if zlib.crc32(copy) == crc:
                return copy
        page = self._page(number)
        return correct_page(page, crc) if len(page) == PAGE_SIZE else None

    def renew(self, numbers: Iterable[int]) -> None:
        """Write the sums of these pages as they are now. Raises OSError."""
        for number in numbers:
            page = self._page(number)
            if len(page) < PAGE_SIZE:
                continue
            if number == 1:
                os.pwrite(self._file, page, _COPY_AT)
            os.pwrite(self._file, _entry(page), _SUMS_AT + (number - 1) * _ENTRY)

    def sync(self) -> None:
        """Return when all of it is on disk. Raises OSError."""
        os.fsync(self._file)

    def differing(self, first: int, count: int) -> Collection[int]:
        """Return those of `count` pages from `first` on that are not what they were."""
        data = memoryview(os.pread(self._database, count * PAGE_SIZE, (first - 1) * PAGE_SIZE))
        entries = array("I")
        for at in range(count):
            # A page that is not there any more differs from any.
            crc = zlib.crc32(data[at * PAGE_SIZE : (at + 1) * PAGE_SIZE])
            entries.extend((crc, crc ^ _ALL_ONES))
        stored = self._entries(first, count)
        if entries.tobytes() == stored:
            return ()
        return [first + at for at in _unequal(entries.tobytes(), stored)]

    def _entries(self, first: int, count: int) -> bytes:
        return os.pread(self._file, count * _ENTRY, _SUMS_AT + (first - 1) * _ENTRY)

    def _page(self, number: int) -> bytes:
        return os.pread(self._database, PAGE_SIZE, (number - 1) * PAGE_SIZE)


def _entry(page: bytes) -> bytes:
    crc = zlib.crc32(page)
    return array("I", (crc, crc ^ _ALL_ONES)).tobytes()


def _unequal(entries: bytes, stored: bytes) -> Iterator[int]:
    for at in range(len(entries) // _ENTRY):
        mine, theirs = (raw[at * _ENTRY : (at + 1) * _ENTRY] for raw in (entries, stored))
        if mine == theirs:
            continue
        crc, complement = array("I", theirs) if len(theirs) == _ENTRY else (0, 0)
        # Not a sum: the damage is in this file, or there has never been one.
        if crc ^ complement == _ALL_ONES:
            yield at


def _page_size(head: bytes) -> int:
    """Return the page size that the file is made for; 0 when it cannot be told."""
    _, size, complement = _HEAD.unpack(head)
    return int(size) if size ^ complement == _ALL_ONES else 0
