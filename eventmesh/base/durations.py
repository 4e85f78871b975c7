"""Durations as Go writes them (`1h30m`, `6s`), the notation of settings, and as ISO-8601 (`PT5S`), that of delivery."""

from __future__ import annotations

import re

_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_MAX_TEXT = 64
"""Longest text that is read: a duration of every unit needs less; a longer one is a mistake or an attack."""


def parse_go(text: str) -> float:
    """Return the seconds that `text` stands for; raises ValueError when it is not a Go duration.

    Grammar of Go's time.ParseDuration: an optional sign, then one or more decimal numbers each with
    its unit, or a bare `0`.
    """
    body = text.lstrip("+-")
    if len(text) - len(body) > 1 or len(text) > _MAX_TEXT:
        raise ValueError(f"invalid duration {text[:_MAX_TEXT]!r}")
    if body == "0":
        return 0.0
    total, at = 0.0, 0
    while at < len(body):
        part = _PART.match(body, at)
        if part is None:
            break
        total += float(part[1]) * _UNIT_S[part[2]]
        at = part.end()
    if not body or at != len(body):
        raise ValueError(f"invalid duration {text!r}: write a number with its unit, such as 30s or 1m30s")
    return -total if text.startswith("-") else total


def format_go(seconds: float) -> str:
    """Return `seconds` as Go prints a time.Duration: `1h0m0s`, `6s`, `300ms`, `0s`."""
    if seconds < 0:
        return "-" + format_go(-seconds)
    if seconds < 1:
        return _small(seconds)
    minutes, rest = divmod(round(seconds, 9), 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail


def _small(seconds: float) -> str:
    nanoseconds = round(seconds * 1e9)
    if nanoseconds == 0:
        return "0s"
    for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.6f}".rstrip("0").rstrip(".") + unit
    raise AssertionError("unreachable: a positive count of nanoseconds is at least one")


_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?)?")


def parse_iso8601(text: str) -> float:
    """Return the seconds of an ISO-8601 duration of days, hours, minutes and seconds (`PT0.2S`, `P1DT12H`).

    Years, months and weeks have no fixed length or no use here: like everything else they raise ValueError.
    """
    match = _ISO.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None or not any(match.groups()) or text.endswith("T"):
        raise ValueError(f"invalid duration {text[:_MAX_TEXT]!r}: write an ISO-8601 duration such as PT5S or PT1M30S")
    days, hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
