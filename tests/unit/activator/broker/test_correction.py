"""One flipped bit is found and turned back; other damage is not taken for it."""

from __future__ import annotations

import random
import zlib

import pytest

from eventmesh.activator.broker.store.correction import correct_frame, correct_page
from eventmesh.activator.broker.store.log_tail import checksum

PAGE = 4096


def turned(data: bytes, *bits: int) -> bytes:
    changed = bytearray(data)
    for bit in bits:
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_page_with_one_flipped_bit_is_put_right() -> None:
    rng = random.Random(3)
    page = rng.randbytes(PAGE)
    for bit in (0, 8 * PAGE - 1, *(rng.randrange(8 * PAGE) for _ in range(50))):
        assert correct_page(turned(page, bit), zlib.crc32(page)) == page


def test_a_page_with_more_damage_is_not() -> None:
    rng = random.Random(4)
    page = rng.randbytes(PAGE)
    for _ in range(50):
        assert correct_page(turned(page, *rng.sample(range(8 * PAGE), 2)), zlib.crc32(page)) is None


@pytest.mark.parametrize("words", ["<", ">"])
def test_a_frame_with_one_flipped_bit_is_put_right(words: str) -> None:
    rng = random.Random(5)
    frame = rng.randbytes(8 + PAGE)
    seed = (rng.getrandbits(32), rng.getrandbits(32))
    wanted = checksum(words, seed, frame)
    low = [
        32 * rng.randrange(len(frame) // 4) + (rng.randrange(16) if words == "<" else 16 + rng.randrange(8))
        for _ in range(10)
    ]
    for bit in low:
        assert correct_frame(words, seed, turned(frame, bit), wanted) == frame
    # What cannot be told from another place is not guessed.
    assert correct_frame(words, seed, turned(frame, 31 if words == "<" else 7), wanted) is None
    for _ in range(5):
        assert correct_frame(words, seed, turned(frame, *rng.sample(range(8 * len(frame)), 2)), wanted) is None
