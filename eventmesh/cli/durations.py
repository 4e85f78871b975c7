"""Durations that flags give, as Go writes them."""

from __future__ import annotations

from eventmesh.base.durations import parse_go
from eventmesh.base.errors import UsageError


def duration(flag: str, text: str, least_s: float = 0.0) -> float:
    """Return the seconds; raises UsageError naming `flag` when it is no duration, or shorter than `least_s`."""
    try:
        seconds = parse_go(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None
    if seconds < 0:
        raise UsageError(f"{flag}: {text} is negative")
    if seconds < least_s:
        raise UsageError(f"{flag}: {text} is shorter than {least_s:g}s")
    return seconds
