r"""LIKE patterns (cesql/spec.md, section 3.4.3) as matchers whose time is linear in the text.

`%` is any run of characters, `_` any one, `\%` and `\_` the characters themselves, everything else is itself. A
pattern falls at its `%` into segments of fixed length. The first must stand at the start, the last at the end, and
each between at its leftmost place after the one before: if any placing fits, that one does, so nothing is ever tried
again. A segment without `_` is found by `str.find`; one with `_` by the bit-parallel Shift-And search (Baeza-Yates and
Gonnet 1992), where one integer holds every prefix that matches so far.
"""

from __future__ import annotations

from collections.abc import Callable

from eventmesh.base.frozen import frozen

Matcher = Callable[[str], bool]

_ANY_ONE = ""
"""How a segment spells `_`; a character is spelled by itself."""


def compile_pattern(pattern: str) -> Matcher:
    """Return the function that tells whether a whole text matches `pattern`."""
    parts = _segments(pattern)
    if any(_ANY_ONE in part for part in parts):
        return _general([Segment.of(part) for part in parts])
    return _plain(["".join(part) for part in parts])


def _segments(pattern: str) -> list[list[str]]:
    """Split at `%`: n of them give n + 1 segments, empty ones included."""
    parts: list[list[str]] = [[]]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\" and pattern[at + 1 : at + 2] in ("%", "_"):
            at += 1
            parts[-1].append(pattern[at])
        elif character == "%":
            parts.append([])
        else:
            parts[-1].append(_ANY_ONE if character == "_" else character)
        at += 1
    return parts


def _plain(parts: list[str]) -> Matcher:
    if len(parts) == 1:
        return parts[0].__eq__
    first, last, middle = parts[0], parts[-1], [part for part in parts[1:-1] if part]
    if not middle and not last:
        return lambda text: text.startswith(first)
    if not middle and not first:
        return lambda text: text.endswith(last)
    shortest = len(first) + len(last)

    def matches(text: str) -> bool:
        if len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for part in middle:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return matches


@frozen
class Segment:
    """Characters between two `%`, some of which may be `_`."""

    length: int
    pieces: tuple[tuple[int, str], ...]
    """The runs of literal characters, each with its offset."""
    masks: dict[str, int]
    """Character -> a bit for each place it may stand at."""
    anywhere: int
    """The bits of the places of `_`: what a character without a mask may stand at."""

    @classmethod
    def of(cls, part: list[str]) -> Segment:
        """Return the segment that `_segments` spelled."""
        anywhere = sum(1 << at for at, character in enumerate(part) if character == _ANY_ONE)
        masks: dict[str, int] = {}
        pieces: list[tuple[int, str]] = []
        for at, character in enumerate(part):
            if character == _ANY_ONE:
                continue
            masks[character] = masks.get(character, anywhere) | 1 << at
            if pieces and at == pieces[-1][0] + len(pieces[-1][1]):
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + character)
            else:
                pieces.append((at, character))
        return cls(len(part), tuple(pieces), masks, anywhere)

    def stands_at(self, text: str, at: int) -> bool:
        """Return whether the segment fits `text` at `at`; the caller has made sure that it is long enough."""
        return all(text.startswith(piece, at + offset) for offset, piece in self.pieces)

    def find(self, text: str, start: int, end: int) -> int:
        """Return where the segment fits first within `text[start:end]`, or -1."""
        if not self.pieces:
            return start if start + self.length <= end else -1
        complete, masks, anywhere = 1 << (self.length - 1), self.masks, self.anywhere
        prefixes = 0
        for at in range(start, end):
            prefixes = (prefixes << 1 | 1) & masks.get(text[at], anywhere)
            if prefixes & complete:
                return at - self.length + 1
        return -1


def _general(segments: list[Segment]) -> Matcher:
    first, last, middle = segments[0], segments[-1], [part for part in segments[1:-1] if part.length]
    if len(segments) == 1:
        return lambda text: len(text) == first.length and first.stands_at(text, 0)
    shortest = first.length + last.length

    def matches(text: str) -> bool:
        end = len(text) - last.length
        if len(text) < shortest or not first.stands_at(text, 0) or not last.stands_at(text, end):
            return False
        at = first.length
        for segment in middle:
            found = segment.find(text, at, end)
            if found < 0:
                return False
            at = found + segment.length
        return True

    return matches
