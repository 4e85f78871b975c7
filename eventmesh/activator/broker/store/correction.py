"""Finding the one bit that has flipped, from a checksum that does not hold.

Both checksums are linear: what a flipped bit changes in them depends on its place alone. So the difference between the
checksum that was stored and the one that is found names the bit, when it was one bit. Damage of another kind points at
no bit, but for one page in 130,000 (32,768 places among 2^32 differences), which is then taken for put right; events
are checked again by a checksum of their own.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import cache

from eventmesh.activator.broker.store.log_tail import Checksum, checksum

_MASK = 0xFFFFFFFF


def correct_page(page: bytes, crc: int) -> bytes | None:
    """Return the page that has this CRC-32 and differs in one bit; None when there is none."""
    bit = _places(len(page)).get(zlib.crc32(page) ^ crc)
    return None if bit is None else _turned(page, bit)


@cache
def _places(length: int) -> Mapping[int, int]:
    """Return the bit that changes a CRC-32 of so many bytes in this way, for each bit."""
    nothing = bytes(length)
    without = zlib.crc32(nothing)
    return {zlib.crc32(_turned(nothing, bit)) ^ without: bit for bit in range(8 * length)}


def _turned(data: bytes, bit: int) -> bytes:
    turned = bytearray(data)
    turned[bit // 8] ^= 1 << bit % 8
    return bytes(turned)


def correct_frame(words: str, seed: Checksum, covered: bytes, wanted: Checksum) -> bytes | None:
    """Return what a frame's checksum `wanted` was made of, when that differs from `covered` in one bit; else None.

    `words` and `seed` as for `checksum`. The sums are made of words by factors that repeat in their lowest bits: the
    highest bits of a word change them as those of other words do, and then nothing is told.
    """
    right: list[bytes] = []
    found = checksum(words, seed, covered)
    difference = (wanted[0] - found[0]) & _MASK, (wanted[1] - found[1]) & _MASK
    for at, change in _changes(difference, len(covered) // 8):
        (word,) = struct.unpack_from(f"{words}I", covered, 4 * at)
        changed = (word + change) & _MASK
        if (word ^ changed).bit_count() == 1:
            right.append(covered[: 4 * at] + struct.pack(f"{words}I", changed) + covered[4 * at + 4 :])
    return right[0] if len(right) == 1 else None


def _changes(difference: Checksum, pairs: int) -> Iterator[tuple[int, int]]:
    """Yield the words, and what must be added to each, that would explain the difference of a checksum."""
    # What one more in the first, or in the second word of a pair makes of the two sums; from the last pair backwards.
    first, second = (1, 1), (0, 1)
    for pair in reversed(range(pairs)):
        for at, (one, two) in ((2 * pair, first), (2 * pair + 1, second)):
            for bit in range(32):
                for change in (1 << bit, -(1 << bit)):
                    if (one * change & _MASK, two * change & _MASK) == difference:
                        yield at, change
        first, second = _step(first), _step(second)


def _step(effect: tuple[int, int]) -> tuple[int, int]:
    one, two = effect
    return (one + two) & _MASK, (one + 2 * two) & _MASK
