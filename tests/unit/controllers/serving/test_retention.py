"""Which revisions are let go, in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from eventmesh.base.clock import rfc3339
from eventmesh.controllers.serving.names import (
    CONFIGURATION_GENERATION,
    NO_GC,
    ROUTING_STATE,
    ROUTING_STATE_MODIFIED,
)
from eventmesh.controllers.serving.retention import Verdict, judge, last_active
from eventmesh.controllers.serving.settings import RetentionSettings
from eventmesh.kube.api import Object

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = 3600.0


def revision(
    number: int,
    *,
    created_h: float = 1_000,
    active_h: float | None = 1_000,
    state: str = "reserve",
    annotations: dict[str, str] | None = None,
) -> Object:
    """A revision made and last routed to so many hours ago."""
    marks = dict(annotations or {})
    if active_h is not None:
        marks[ROUTING_STATE_MODIFIED] = rfc3339(NOW - timedelta(hours=active_h))
    return {
        "metadata": {
            "name": f"r{number}",
            "creationTimestamp": rfc3339(NOW - timedelta(hours=created_h)),
            "labels": {ROUTING_STATE: state, CONFIGURATION_GENERATION: str(number)},
            "annotations": marks,
        }
    }


def settings(**fields: Any) -> RetentionSettings:
    return RetentionSettings(**{"minimum": 0, **fields})


def deleted(revisions: list[Object], chosen: RetentionSettings, kept: set[str] | None = None) -> list[str]:
    return list(judge(revisions, kept or set(), chosen, NOW).delete)


def test_old_and_long_idle_revisions_go_the_longest_idle_first() -> None:
    assert deleted([revision(1, active_h=100), revision(2, active_h=300), revision(3, active_h=200)], settings()) == [
        "r2", "r3", "r1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("created_h", "active_h", "goes"),
    [(49, 16, True), (47, 47, False), (49, 14, False), (48, 15, True), (1_000, None, True), (47, None, False)],
)
def test_both_ages_must_have_passed(created_h: float, active_h: float | None, goes: bool) -> None:
    assert bool(deleted([revision(1, created_h=created_h, active_h=active_h)], settings())) is goes


def test_an_age_that_is_disabled_is_not_asked() -> None:
    young = revision(1, created_h=1, active_h=16)
    assert deleted([young], settings(since_created_s=None)) == ["r1"]
    recent = revision(1, created_h=49, active_h=1)
    assert deleted([recent], settings(since_active_s=None)) == ["r1"]
    old = revision(1)
    assert deleted([old], settings(since_created_s=None, since_active_s=None)) == []


def test_what_is_routed_ready_kept_or_not_yet_labelled_is_never_in_question() -> None:
    revisions = [
        revision(1, state="active"),
        revision(2, state="pending"),
        revision(3, state=""),
        revision(4, annotations={NO_GC: "True"}),
        revision(5),
        revision(6),
    ]
    tight = settings(maximum=0)
    assert deleted(revisions, tight, kept={"r5"}) == ["r6"]


def test_the_minimum_is_kept_however_old() -> None:
    revisions = [revision(number, active_h=500 - number) for number in range(25)]
    assert deleted(revisions, RetentionSettings()) == ["r0", "r1", "r2", "r3", "r4"]
    assert deleted(revisions[:20], RetentionSettings()) == []


def test_the_maximum_is_kept_to_however_young() -> None:
    revisions = [revision(number, created_h=5, active_h=5 - number / 10) for number in range(6)]
    assert deleted(revisions, settings(maximum=4)) == ["r0", "r1"]
    assert deleted(revisions, settings(maximum=None)) == []


def test_what_is_stale_counts_towards_the_maximum() -> None:
    stale = [revision(1, active_h=500), revision(2, active_h=400)]
    young = [revision(number, created_h=5, active_h=5 - number / 10) for number in (3, 4, 5)]
    assert deleted([*young, *stale], settings(maximum=2)) == ["r1", "r2", "r3"]
    assert deleted([*young, *stale], settings(minimum=4, maximum=4)) == ["r1"]


def test_nothing_goes_when_all_is_disabled() -> None:
    off = settings(since_created_s=None, since_active_s=None, maximum=None)
    assert judge([revision(1)], set(), off, NOW) == Verdict()


def test_revisions_equally_idle_go_in_the_order_they_were_made() -> None:
    assert deleted([revision(10), revision(9), revision(11)], settings(minimum=1)) == ["r9", "r10"]


def test_it_is_known_when_to_look_again() -> None:
    soon, later = revision(1, created_h=47, active_h=30), revision(2, created_h=49, active_h=10)
    verdict = judge([later, soon], set(), settings(), NOW)
    assert verdict == Verdict((), NOW + timedelta(hours=1))
    assert judge([later, soon], set(), settings(), NOW + timedelta(hours=1)).delete == ("r1",)
    assert judge([later, soon], set(), settings(minimum=2), NOW).again_at is None


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-01T00:00:00"])
def test_a_stamp_that_says_nothing_leaves_the_time_of_creation(text: str) -> None:
    obj = revision(1, created_h=3, active_h=None, annotations={ROUTING_STATE_MODIFIED: text})
    assert last_active(obj) == NOW - timedelta(hours=3)


def test_random_lots_keep_the_rules() -> None:
    random = Random(11)
    for _ in range(500):
        revisions = [
            revision(number, created_h=(age := random.uniform(0, 100)), active_h=random.uniform(0, age))
            for number in range(random.randrange(12))
        ]
        minimum = random.randrange(6)
        maximum = random.choice([None, minimum + random.randrange(6)])
        gone = deleted(revisions, settings(minimum=minimum, maximum=maximum))
        left = len(revisions) - len(gone)
        assert left >= min(minimum, len(revisions)) and len(set(gone)) == len(gone)
        assert maximum is None or left <= maximum
        again = [obj for obj in revisions if obj["metadata"]["name"] not in gone]
        assert deleted(again, settings(minimum=minimum, maximum=maximum)) == []
