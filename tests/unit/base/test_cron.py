"""When schedules are due, in every zone and season, and what is no schedule."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from eventmesh.base.cron import MAX_SCHEDULE_CHARS, Schedule
from eventmesh.base.errors import ConfigError


def ticks(expression: str, start: str, count: int, timezone: str = "") -> list[str]:
    schedule, moment = Schedule.parse(expression, timezone), datetime.fromisoformat(start).replace(tzinfo=UTC)
    found = []
    for _ in range(count):
        due = schedule.after(moment)
        assert due is not None
        found.append(due.strftime("%Y-%m-%dT%H:%M:%S"))
        moment = due
    return found


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("* * * * *", ["2026-01-01T10:31:00", "2026-01-01T10:32:00"]),
        ("*/20 * * * * *", ["2026-01-01T10:30:40", "2026-01-01T10:31:00"]),
        ("0 9 * * MON-FRI", ["2026-01-02T09:00:00", "2026-01-05T09:00:00"]),
        ("0 0 1,15 * ?", ["2026-01-15T00:00:00", "2026-02-01T00:00:00"]),
        ("30 4 1 jan,jul *", ["2026-07-01T04:30:00", "2027-01-01T04:30:00"]),
        ("0 0 13 * 5", ["2026-01-02T00:00:00", "2026-01-09T00:00:00"]),
        ("@hourly", ["2026-01-01T11:00:00", "2026-01-01T12:00:00"]),
        ("@weekly", ["2026-01-04T00:00:00", "2026-01-11T00:00:00"]),
        (" 0  12   29 2 * ", ["2028-02-29T12:00:00", "2032-02-29T12:00:00"]),
    ],
)
def test_a_schedule_is_due_when_cron_says(expression: str, due: list[str]) -> None:
    assert ticks(expression, "2026-01-01T10:30:20", 2) == due


def test_a_schedule_keeps_to_the_clocks_of_its_zone() -> None:
    # Berlin goes from UTC+1 to UTC+2 in the night to 2026-03-29.
    assert ticks("0 9 * * *", "2026-03-28T00:00:00", 2, "Europe/Berlin") == [
        "2026-03-28T08:00:00",
        "2026-03-29T07:00:00",
    ]


def test_a_time_that_a_day_has_twice_is_due_once_and_one_it_has_not_is_made_up_for() -> None:
    assert ticks("30 2 * * *", "2026-10-24T12:00:00", 2, "Europe/Berlin") == [
        "2026-10-25T00:30:00",
        "2026-10-26T01:30:00",
    ]
    spring = ticks("30 2 * * *", "2026-03-28T12:00:00", 2, "Europe/Berlin")
    assert [due[:10] for due in spring] == ["2026-03-29", "2026-03-30"]


def test_a_moment_that_is_due_itself_is_not_due_again() -> None:
    assert Schedule.parse("* * * * *").after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "timezone", "path", "words"),
    [
        ("", "", "schedule", "expected 5 to 6 fields, found 0"),
        ("* * * *", "", "schedule", "found 4"),
        ("* * * * * * *", "", "schedule", "found 7"),
        ("61 * * * *", "", "schedule", "bad minute"),
        ("* 24 * * *", "", "schedule", "bad hour"),
        ("*/0 * * * *", "", "schedule", "bad minute"),
        ("* * * FOO *", "", "schedule", "bad month"),
        ("* * * * 5#2", "", "schedule", "cannot read the field '5#2'"),
        ("* * L * *", "", "schedule", "cannot read the field 'L'"),
        ("0 0 31 2 *", "", "schedule", "bad day-of-month"),
        ("@every 1m", "", "schedule", "unsupported descriptor"),
        ("CRON_TZ=UTC * * * * *", "", "schedule", "cannot read"),
        ("* * * * *", "Mars/Olympus", "timezone", "unknown time zone Mars/Olympus"),
        ("* * * * *", "../../etc/passwd", "timezone", "unknown time zone"),
        (",".join(["1"] * MAX_SCHEDULE_CHARS), "", "schedule", f"more than {MAX_SCHEDULE_CHARS}"),
    ],
)
def test_what_is_no_schedule_is_refused_by_its_field(expression: str, timezone: str, path: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        Schedule.parse(expression, timezone)
    assert refusal.value.path == path
