"""The arithmetic of rollouts."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import PermanentError
from eventmesh.controllers.workloads.rollout import Bounds, Version, plan, plan_paused

CAREFUL = Bounds(surge=1, unavailable=0)


def test_without_an_older_version_the_wanted_number_is_given_at_once() -> None:
    assert plan(10, Version("new", 0, 0), [], CAREFUL) == {"new": 10}
    assert plan(3, Version("new", 10, 10), [Version("old", 0, 0)], CAREFUL) == {"new": 3, "old": 0}


def test_to_zero_is_at_once_for_all() -> None:
    assert plan(0, Version("new", 1, 1), [Version("old", 3, 3)], CAREFUL) == {"new": 0, "old": 0}


def test_with_nothing_unavailable_the_old_pod_goes_only_when_the_new_one_serves() -> None:
    assert plan(1, Version("new", 0, 0), [Version("old", 1, 1)], CAREFUL) == {"new": 1, "old": 1}
    assert plan(1, Version("new", 1, 0), [Version("old", 1, 1)], CAREFUL) == {"new": 1, "old": 1}
    assert plan(1, Version("new", 1, 1), [Version("old", 1, 1)], CAREFUL) == {"new": 1, "old": 0}


def test_a_rollout_never_leaves_its_bounds_and_ends() -> None:
    for surge, unavailable in ((1, 0), (0, 1), (2, 1), (3, 3)):
        bounds = Bounds(surge, unavailable)
        new, old = Version("new", 0, 0), Version("old", 5, 5)
        for _ in range(20):
            sizes = plan(5, new, [old], bounds)
            assert sum(sizes.values()) <= 5 + surge
            kept = min(old.available, sizes["old"])
            assert min(new.available, sizes["new"]) + kept >= 5 - unavailable
            new, old = Version("new", sizes["new"], sizes["new"]), Version("old", sizes["old"], kept)
        assert (new.replicas, old.replicas) == (5, 0)


def test_broken_pods_of_an_old_version_go_first() -> None:
    assert plan(2, Version("new", 0, 0), [Version("old", 2, 0)], Bounds(1, 1))["old"] == 1


@pytest.mark.parametrize(
    ("rolling", "bounds"),
    [
        ({}, Bounds(3, 2)),
        ({"maxSurge": 2, "maxUnavailable": 0}, Bounds(2, 0)),
        ({"maxSurge": "10%", "maxUnavailable": "10%"}, Bounds(1, 1)),
        ({"maxSurge": 0, "maxUnavailable": 0}, Bounds(0, 1)),
    ],
)
def test_bounds_are_numbers_or_shares(rolling: dict[str, Any], bounds: Bounds) -> None:
    deployment = {"spec": {"replicas": 10, "strategy": {"rollingUpdate": rolling}}}
    assert Bounds.of(deployment) == bounds


def test_recreate_lets_everything_be_missing() -> None:
    assert Bounds.of({"spec": {"replicas": 4, "strategy": {"type": "Recreate"}}}) == Bounds(0, 4)


@pytest.mark.parametrize("value", ["x%", "five", -1, 1.5, True])
def test_a_bound_that_is_none_is_named(value: object) -> None:
    with pytest.raises(PermanentError, match="maxSurge"):
        Bounds.of({"spec": {"replicas": 1, "strategy": {"rollingUpdate": {"maxSurge": value}}}})


def test_a_paused_rollout_only_follows_the_wanted_number() -> None:
    new, old = Version("new", 2, 2), Version("old", 3, 3)
    assert plan_paused(5, [new, old]) == {"new": 2, "old": 3}
    assert plan_paused(8, [new, old]) == {"new": 2, "old": 6}
    assert plan_paused(4, [new, old]) == {"new": 1, "old": 3}
    assert plan_paused(0, [new, old]) == {"new": 0, "old": 0}
    assert plan_paused(2, [Version("new", 0, 0), Version("old", 0, 0)]) == {"new": 2, "old": 0}
    assert plan_paused(2, []) == {}
