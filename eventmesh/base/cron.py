"""Schedules as cron writes them: read once, asked for the next time again and again.

The grammar is that of robfig/cron as Knative uses it: five fields, or six with seconds first; names of months and days;
`?` for `*`; descriptors such as `@daily`, but not `@every`. Where a day of daylight saving has no such time or has it
twice, Debian's cron is followed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen

MAX_SCHEDULE_CHARS: Final = 512
"""Longer than six fields that each name every value they may have are not; a schedule is parsed at every write."""

DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_TERM = r"(\*|\?|[0-9]{1,4}|[A-Za-z]{3})"
_FIELD = re.compile(rf"{_TERM}(-{_TERM})?(/[0-9]{{1,4}})?(,{_TERM}(-{_TERM})?(/[0-9]{{1,4}})?)*\Z")


@frozen
class Schedule:
    """A schedule in a time zone."""

    expression: str
    """Five or six fields."""
    timezone: str = "UTC"

    @classmethod
    def parse(cls, text: str, timezone: str = "") -> Schedule:
        """Return the schedule; raises ConfigError whose path is `schedule` or `timezone`."""
        zone = timezone or "UTC"
        _zone(zone)
        if len(text) > MAX_SCHEDULE_CHARS:
            raise ConfigError("schedule", f"has {len(text)} characters, more than {MAX_SCHEDULE_CHARS}")
        expression = _fields(text.strip())
        try:
            CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ConfigError("schedule", f"{text!r}: {str(error)[:1].lower()}{str(error)[1:]}") from error
        return cls(expression, zone)

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after `moment` (aware), in UTC; None when there is none within fifty years."""
        found = next(CronSim(self.expression, moment.astimezone(_zone(self.timezone))), None)
        return None if found is None else found.astimezone(UTC)


def _fields(text: str) -> str:
    if text.startswith("@"):
        known = DESCRIPTORS.get(text)
        if known is None:
            raise ConfigError("schedule", f"unsupported descriptor {text}; known are {', '.join(DESCRIPTORS)}")
        return known
    fields = text.split()
    if len(fields) not in (5, 6):
        raise ConfigError("schedule", f"expected 5 to 6 fields, found {len(fields)}: {text!r}")
    for field in fields:
        if not _FIELD.match(field):
            raise ConfigError("schedule", f"cannot read the field {field!r} of {text!r}")
    return " ".join(fields).replace("?", "*")


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        problem = f"provided bad location {name}: unknown time zone {name}; write one such as Europe/Berlin"
        raise ConfigError("timezone", problem) from error
