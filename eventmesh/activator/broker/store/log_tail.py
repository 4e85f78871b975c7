"""A look of our own at SQLite's write-ahead log: is there anything behind its end that was acknowledged?

SQLite reads the log up to the first frame whose checksum is wrong and forgets the rest in silence. That is right for
what a crash leaves behind (the transaction that was being written), and wrong for damage: whole transactions behind it
would be lost although they were synced and acknowledged. The two can be told apart, because a frame's checksum
goes on from the checksum *stored* in the frame before it: a frame that continues a commit frame began to be written
after that commit's sync. The last transaction has nobody behind it: for that one there is the mark (`page_sums`), which
outlives a crash of the process. Only damage to it together with a power cut looks like a write that never ended; it is
reported as such.

Source: the file format document of SQLite (fileformat2.html, section 4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from eventmesh.base.frozen import frozen

HEADER = struct.Struct(">8I")
"""Magic, format, page size, checkpoint number, salt (2), checksum (2)."""
FRAME = struct.Struct(">6I")
"""Page number, pages of the database if this frame commits (else 0), salt (2), checksum (2)."""

LITTLE_ENDIAN, BIG_ENDIAN = 0x377F0682, 0x377F0683
"""The magic numbers tell in which order the checksum reads words."""

COVERED = 8
"""Bytes of a frame's header that its checksum covers, beside the page."""

Checksum = tuple[int, int]


@frozen
class LogTail:
    """What lies behind the frames that SQLite has read."""

    offset: int
    """Byte of the log at which it begins."""
    frames: int = 0
    """Frames of this log (older ones, left from before it was last begun anew, do not count)."""
    acknowledged: int = 0
    """Transactions among them that were on disk before a later one was begun: they were acknowledged."""
    salts: tuple[int, int] = (0, 0)
    """Of the log; of its first frame when its header is damaged."""
    header_broken: bool = False
    """The log's own header is damaged, so that SQLite has read nothing of it."""


@frozen
class _Frame:
    commits: bool
    ours: bool
    """It belongs to this log and not to an earlier one in the same file."""
    follows: bool
    """Its checksum continues the one stored in the frame before."""


def log_of(database: Path) -> Path:
    """Return the path of a database's log."""
    return database.with_name(f"{database.name}-wal")


def salts_of(log: Path) -> tuple[int, int]:
    """Return the salts of a log; zeros when there is none. Raises OSError."""
    try:
        with log.open("rb") as file:
            raw = file.read(HEADER.size)
    except FileNotFoundError:
        return (0, 0)
    return HEADER.unpack(raw)[4:6] if len(raw) == HEADER.size else (0, 0)


def pages_in(log: Path, frames: int) -> set[int]:
    """Return the numbers of the pages in the first `frames` frames of a log. Raises OSError."""
    found: set[int] = set()
    if frames <= 0:
        return found
    with log.open("rb") as file:
        page_size = HEADER.unpack(file.read(HEADER.size))[2]
        for at in range(frames):
            file.seek(HEADER.size + at * (FRAME.size + page_size))
            found.add(FRAME.unpack(file.read(FRAME.size))[0])
    return found


def read_tail(log: Path, frames_read: int) -> LogTail | None:
    """Return what lies behind the first `frames_read` frames of `log`; None when there is no log."""
    try:
        file = log.open("rb")
    except FileNotFoundError:
        return None
    with file:
        raw = file.read(HEADER.size)
        if len(raw) < HEADER.size:
            return LogTail(len(raw))
        magic, _, page_size, _, salt1, salt2, *stored = HEADER.unpack(raw)
        words = ">" if magic == BIG_ENDIAN else "<"
        if magic not in (LITTLE_ENDIAN, BIG_ENDIAN) or checksum(words, (0, 0), raw[:-8]) != tuple(stored):
            frame = file.read(FRAME.size)
            first = FRAME.unpack(frame)[2:4] if len(frame) == FRAME.size else (0, 0)
            return LogTail(0, salts=first, header_broken=bool(frame))
        offset = HEADER.size + frames_read * (FRAME.size + page_size)
        salts = salt1, salt2
        return _judge(offset, salts, _frames(file, offset, page_size, words, salts, (stored[0], stored[1])))


def _judge(offset: int, salts: tuple[int, int], frames: Iterator[_Frame]) -> LogTail:
    count = acknowledged = 0
    commit_before = False
    for frame in frames:
        if frame.ours:
            count += 1
            acknowledged += commit_before and frame.follows
        commit_before = frame.commits
    return LogTail(offset, count, acknowledged, salts)


def _frames(
    file: BinaryIO, offset: int, page_size: int, words: str, salt: tuple[int, int], seed: Checksum
) -> Iterator[_Frame]:
    if offset > HEADER.size:
        file.seek(offset - page_size - FRAME.size)
        seed = stored_checksum(file.read(FRAME.size))
    file.seek(offset)
    while len(raw := file.read(FRAME.size + page_size)) == FRAME.size + page_size:
        _, pages, salt1, salt2, *_ = FRAME.unpack_from(raw)
        ours = (salt1, salt2) == salt
        follows = ours and checksum(words, seed, covered_by(raw)) == stored_checksum(raw)
        yield _Frame(pages > 0, ours, follows)
        seed = stored_checksum(raw)


def covered_by(frame: bytes) -> bytes:
    """Return the bytes of a frame that its checksum covers."""
    return frame[:COVERED] + frame[FRAME.size :]


def stored_checksum(frame: bytes) -> Checksum:
    """Return the checksum that a frame carries."""
    *_, first, second = FRAME.unpack_from(frame)
    return first, second


def checksum(words: str, seed: Checksum, data: bytes) -> Checksum:
    """Return the checksum of `data` (whole pairs of words) that goes on from `seed`; `words`: `<` or `>`."""
    first, second = seed
    for one, two in struct.iter_unpack(f"{words}II", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second
