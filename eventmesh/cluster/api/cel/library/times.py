"""Moments and lengths of time: read, written, and taken apart, in UTC or in a zone that is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from eventmesh.cluster.api.cel.library.overload import Overload, member
from eventmesh.cluster.api.cel.types import DURATION, INT, STRING, TIMESTAMP
from eventmesh.cluster.api.cel.values import EvaluationError

_MOMENT: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})\Z", re.ASCII | re.IGNORECASE
)
_LENGTH: Final = re.compile(
    r"[+-]?(?:0|(?:(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:ns|us|µs|μs|ms|s|m|h)){1,16})\Z", re.ASCII
)
_PIECE: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_SECONDS: Final = {
    "ns": "1e-9",
    "us": "1e-6",
    "µs": "1e-6",
    "μs": "1e-6",
    "ms": "1e-3",
    "s": "1",
    "m": "60",
    "h": "3600",
}
_LONGEST_S: Final = 2**63 // 10**9
"""Go counts nanoseconds in 64 bits: some 292 years."""
_OFFSET: Final = re.compile(r"([+-]?)(\d{1,2}):(\d{2})\Z", re.ASCII)


def parse_timestamp(text: str) -> datetime:
    """Return the moment that `text` names (RFC 3339); raises EvaluationError."""
    found = _MOMENT.match(text)
    try:
        if found is None:
            raise ValueError(text)
        day, clock, fraction, zone = found.groups()
        fraction = (fraction or ".0")[:7]
        return datetime.fromisoformat(f"{day}T{clock}{fraction:0<7}{zone.upper().replace('Z', '+00:00')}")
    except ValueError as error:
        raise EvaluationError("type conversion error from 'string' to 'google.protobuf.Timestamp'") from error


def parse_duration(text: str) -> timedelta:
    """Return the length of time that `text` names, as Go writes it (`1h30m`); raises EvaluationError."""
    if not _LENGTH.match(text):
        raise EvaluationError("type conversion error from 'string' to 'google.protobuf.Duration'")
    seconds = sum((Decimal(number) * Decimal(_SECONDS[unit]) for number, unit in _PIECE.findall(text)), Decimal(0))
    if seconds > _LONGEST_S:
        raise EvaluationError("type conversion error from 'string' to 'google.protobuf.Duration'")
    length = timedelta(microseconds=int(seconds * 1_000_000))
    return -length if text.startswith("-") else length


def timestamp_text(moment: datetime) -> str:
    """Return a moment as it is written (RFC 3339, in the zone that it was told in)."""
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    zone = moment.isoformat()[-6:]
    # Python writes a year before 1000 with fewer digits.
    return f"{moment.year:04d}{moment:-%m-%dT%H:%M:%S}{fraction}{'Z' if zone == '+00:00' else zone}"


def duration_text(length: timedelta) -> str:
    """Return a length of time in seconds."""
    seconds = Decimal(length // timedelta(microseconds=1)) / 1_000_000
    return f"{seconds.normalize():f}s"


def _zone(name: str) -> tzinfo:
    found = _OFFSET.match(name)
    try:
        if found:
            sign = -1 if found[1] == "-" else 1
            return timezone(sign * timedelta(hours=int(found[2]), minutes=int(found[3])))
        return ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError, OSError) as error:
        raise EvaluationError(f"unknown time zone {name}") from error


def _parts(part: Callable[[datetime], int]) -> tuple[Overload, ...]:
    return (
        member((TIMESTAMP,), INT, lambda moment: part(moment.astimezone(UTC))),
        member((TIMESTAMP, STRING), INT, lambda moment, zone: part(moment.astimezone(_zone(zone)))),
    )


def _whole(unit: timedelta) -> Overload:
    def units(length: timedelta) -> int:
        return abs(length) // unit * (-1 if length < timedelta() else 1)

    return member((DURATION,), INT, units)


_YEAR: Mapping[str, Callable[[datetime], Any]] = {
    "getFullYear": lambda moment: moment.year,
    "getMonth": lambda moment: moment.month - 1,
    "getDayOfYear": lambda moment: moment.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda moment: moment.day - 1,
    "getDate": lambda moment: moment.day,
    "getDayOfWeek": lambda moment: moment.isoweekday() % 7,
}
FUNCTIONS: Mapping[str, tuple[Overload, ...]] = {
    **{name: _parts(part) for name, part in _YEAR.items()},
    "getHours": (*_parts(lambda moment: moment.hour), _whole(timedelta(hours=1))),
    "getMinutes": (*_parts(lambda moment: moment.minute), _whole(timedelta(minutes=1))),
    "getSeconds": (*_parts(lambda moment: moment.second), _whole(timedelta(seconds=1))),
    "getMilliseconds": (*_parts(lambda moment: moment.microsecond // 1000), _whole(timedelta(milliseconds=1))),
}
