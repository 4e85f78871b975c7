"""What a damaged write-ahead log still holds, frame by frame.

A frame's checksum goes on from that of the frame before, so that one flipped bit makes SQLite drop all that follows.
Here each frame is judged by itself: it is whole when its checksum continues the one *stored* before it, or the one
*computed* there (then it was the stored one that was damaged), with one bit turned back if need be.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from eventmesh.activator.broker.store.correction import correct_frame
from eventmesh.activator.broker.store.log_tail import (
    BIG_ENDIAN,
    COVERED,
    FRAME,
    HEADER,
    LITTLE_ENDIAN,
    Checksum,
    checksum,
    covered_by,
    stored_checksum,
)
from eventmesh.activator.broker.store.page_sums import PAGE_SIZE, Mark
from eventmesh.base.frozen import frozen

_PAGE = struct.Struct(">2I")
"""Of a frame: its page, and how many the database has if it commits."""

Salts = tuple[int, int]

WORD = 4
"""Bytes of what the checksum adds up."""

FRAME_BYTES = FRAME.size + PAGE_SIZE


@frozen
class Frame:
    """One frame of the log."""

    number: int
    """Counts from 0."""
    page: int
    commits: bool
    content: bytes
    """The page, put right if need be."""
    as_written: bool
    """Nothing of it is damaged."""
    sure: bool
    """`content` is what was written."""


@frozen
class SalvagedLog:
    """What a log holds."""

    frames: Sequence[Frame] = ()
    """Those that were written for good, damaged ones included: up to the last sure commit, or to the mark. What lies
    behind is a write that never ended."""
    header_damaged: bool = False


def salvage_log(log: Path, mark: Mark | None) -> SalvagedLog:
    """Return what a log holds; nothing when there is none. Raises OSError."""
    try:
        data = log.read_bytes()
    except FileNotFoundError:
        return SalvagedLog()
    if len(data) < HEADER.size + FRAME_BYTES:
        return SalvagedLog()
    frames = list(_judged(data[: HEADER.size], _ours(data)))
    marked = mark.frames if mark and mark.salts in (_salts(data), _first_salts(data)) else 0
    last = max((frame.number + 1 for frame in frames if frame.commits and frame.sure), default=0)
    return SalvagedLog(frames[: max(last, marked)], not _is_sound(data[: HEADER.size]))


def _ours(data: bytes) -> Sequence[bytes]:
    """Return the frames that belong to this log and not to an earlier one in the same file."""
    header, first = _salts(data), _first_salts(data)
    # One that is far from the first frame's is itself what is damaged.
    salts = header if _bits(header, first) <= 1 else first
    raws = [data[at : at + FRAME_BYTES] for at in range(HEADER.size, len(data) - FRAME_BYTES + 1, FRAME_BYTES)]
    # What an earlier log left behind comes last and has other salts; a single bit is damage, as is what lies between.
    ours = [at for at, raw in enumerate(raws) if _bits(salts, FRAME.unpack_from(raw)[2:4]) <= 1]
    return raws[: ours[-1] + 1] if ours else []


def _judged(header: bytes, raws: Sequence[bytes]) -> Iterator[Frame]:
    words, seed = _beginning(header, raws[0] if raws else b"")
    salts = _most_common(FRAME.unpack_from(raw)[2:4] for raw in raws)
    for number, raw in enumerate(raws):
        covered, stored = covered_by(raw), stored_checksum(raw)
        computed = checksum(words, seed, covered)
        following = raws[number + 1] if number + 1 < len(raws) else None
        if computed == stored:
            right, sure = covered, True
        elif following is not None and checksum(words, computed, covered_by(following)) == stored_checksum(following):
            # The next one goes on from what is computed here: only the checksum of this one is damaged.
            right, sure, stored = covered, True, computed
        else:
            corrected = correct_frame(words, seed, covered, stored)
            # In the last frame a damaged checksum looks like a damaged last word.
            sure = corrected is not None and (following is not None or corrected[:-WORD] != covered[:-WORD])
            right = corrected if sure and corrected is not None else covered
        page, pages = _PAGE.unpack_from(right)
        as_written = computed == stored_checksum(raw) and FRAME.unpack_from(raw)[2:4] == salts
        yield Frame(number, page, pages > 0, right[COVERED:], as_written, sure)
        seed = stored


def _beginning(header: bytes, first: bytes) -> tuple[str, Checksum]:
    """Return the order of words, and the checksum that the first frame goes on from."""
    magic, _, _, _, _, _, one, two = HEADER.unpack(header)
    words = ">" if magic == BIG_ENDIAN else "<"
    if (computed := checksum(words, (0, 0), header[:-8])) == (one, two):
        return words, computed
    # The bit that tells the order may be the one that is damaged; SQLite uses the machine's.
    words = "<" if sys.byteorder == "little" else ">"
    computed = checksum(words, (0, 0), header[:-8])
    if first and checksum(words, computed, covered_by(first)) == stored_checksum(first):
        return words, computed
    return words, (one, two)


def _is_sound(header: bytes) -> bool:
    magic, _, page_size, _, _, _, *stored = HEADER.unpack(header)
    words = ">" if magic == BIG_ENDIAN else "<"
    known = magic in (LITTLE_ENDIAN, BIG_ENDIAN) and page_size == PAGE_SIZE
    return known and checksum(words, (0, 0), header[:-8]) == tuple(stored)


def _most_common(salts: Iterable[Salts]) -> Salts | None:
    found = Counter(salts).most_common(1)
    return found[0][0] if found else None


def _bits(one: Salts, two: Salts) -> int:
    """Return in how many bits two pairs of salts differ."""
    return sum((a ^ b).bit_count() for a, b in zip(one, two, strict=True))


def _salts(data: bytes) -> Salts:
    return HEADER.unpack_from(data)[4:6]


def _first_salts(data: bytes) -> Salts:
    return FRAME.unpack_from(data, HEADER.size)[2:4]
