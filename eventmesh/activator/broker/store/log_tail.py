"""A look of our own at SQLite's write-ahead log: is there anything behind its end that was acknowledged?

SQLite reads the log up to the first frame whose checksum is wrong and forgets the rest in silence. That is right for
what a crash leaves behind (the transaction that was being written), and wrong for damage: whole transactions behind it
would be lost although they were synced and acknowledged. The two can be told apart, because a frame's checksum
goes on from the checksum *stored* in the frame before it: a frame that continues a commit frame began to be written
after that commit's sync. What cannot be told apart is damage to the very last transactions of the log from a write
that never ended; it is reported as such.

Source: the file format document of SQLite (fileformat2.html, section 4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_HEADER = struct.Struct(">8I")
"""Magic, format, page size, checkpoint number, salt (2), checksum (2)."""
_FRAME = struct.Struct(">6I")
"""Page number, pages of the database if this frame commits (else 0), salt (2), checksum (2)."""

_LITTLE_ENDIAN, _BIG_ENDIAN = 0x377F0682, 0x377F0683
"""The magic numbers tell in which order the checksum reads words."""

_COVERED = 8
"""Bytes of a frame's header that its checksum covers, beside the page."""

Checksum = tuple[int, int]


@dataclass(frozen=True, slots=True)
class LogTail:
    """What lies behind the frames that SQLite has read."""

    offset: int
    """Byte of the log at which it begins."""
    frames: int = 0
    """Frames of this log (older ones, left from before it was last begun anew, do not count)."""
    acknowledged: int = 0
    """Transactions among them that were on disk before a later one was begun: they were acknowledged."""
    header_broken: bool = False
    """The log's own header is damaged, so that SQLite has read nothing of it."""


@dataclass(frozen=True, slots=True)
class _Frame:
    commits: bool
    ours: bool
    """It belongs to this log and not to an earlier one in the same file."""
    follows: bool
    """Its checksum continues the one stored in the frame before."""


def read_tail(log: Path, frames_read: int) -> LogTail | None:
    """Return what lies behind the first `frames_read` frames of `log`; None when there is no log."""
    try:
        file = log.open("rb")
    except FileNotFoundError:
        return None
    with file:
        raw = file.read(_HEADER.size)
        if len(raw) < _HEADER.size:
            return LogTail(len(raw))
        magic, _, page_size, _, salt1, salt2, *stored = _HEADER.unpack(raw)
        words = ">" if magic == _BIG_ENDIAN else "<"
        if magic not in (_LITTLE_ENDIAN, _BIG_ENDIAN) or _sum(words, (0, 0), raw[:-8]) != tuple(stored):
            begun = bool(file.read(1))
            return LogTail(0, header_broken=begun)
        offset = _HEADER.size + frames_read * (_FRAME.size + page_size)
        return _judge(offset, _frames(file, offset, page_size, words, (salt1, salt2), (stored[0], stored[1])))


def _judge(offset: int, frames: Iterator[_Frame]) -> LogTail:
    count = acknowledged = 0
    commit_before = False
    for frame in frames:
        if frame.ours:
            count += 1
            acknowledged += commit_before and frame.follows
        commit_before = frame.commits
    return LogTail(offset, count, acknowledged)


def _frames(
    file: BinaryIO, offset: int, page_size: int, words: str, salt: tuple[int, int], seed: Checksum
) -> Iterator[_Frame]:
    if offset > _HEADER.size:
        file.seek(offset - page_size - _FRAME.size)
        seed = _stored(file.read(_FRAME.size))
    file.seek(offset)
    while len(raw := file.read(_FRAME.size + page_size)) == _FRAME.size + page_size:
        _, pages, salt1, salt2, *_ = _FRAME.unpack_from(raw)
        ours = (salt1, salt2) == salt
        follows = ours and _sum(words, seed, raw[:_COVERED] + raw[_FRAME.size :]) == _stored(raw)
        yield _Frame(pages > 0, ours, follows)
        seed = _stored(raw)


def _stored(frame: bytes) -> Checksum:
    *_, first, second = _FRAME.unpack_from(frame)
    return first, second


def _sum(words: str, seed: Checksum, data: bytes) -> Checksum:
    first, second = seed
    for one, two in struct.iter_unpack(f"{words}II", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second
