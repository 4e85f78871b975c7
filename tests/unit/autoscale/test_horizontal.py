"""The horizontal pod autoscaler's arithmetic, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.autoscale.horizontal import (
    DOWN,
    UP,
    Bounds,
    Limit,
    Memory,
    PodLoad,
    PodState,
    Policy,
    Rules,
    Select,
    propose,
    read_rules,
    settle,
)

WIDE = Bounds(1, 100)
AT_ONCE = Rules((Policy(100, True, 15.0),))


def pods(*used: float, requested: float = 1.0) -> list[PodLoad]:
    return [PodLoad(PodState.STEADY, each, requested) for each in used]


UNREADY = PodLoad(PodState.UNREADY)
UNKNOWN = PodLoad(PodState.UNKNOWN)


@pytest.mark.parametrize(
    ("current", "loads", "target", "wanted"),
    [
        (3, pods(0.3, 0.5, 0.7), 0.5, 3),
        (3, pods(0.5, 0.5, 0.65), 0.5, 3),
        (3, pods(0.6, 0.6, 0.6), 0.5, 4),
        (3, pods(1.0, 1.0, 1.0), 0.5, 6),
        (4, pods(0.1, 0.1, 0.1, 0.1), 0.5, 1),
        (2, pods(0.5, 0.5, requested=0.5), 0.5, 4),
        (2, [*pods(1.0), UNREADY], 0.5, 2),
        (2, [*pods(2.5), UNREADY], 0.5, 5),
        (2, [*pods(0.1), UNREADY], 0.5, 1),
        (2, [*pods(0.1), UNKNOWN], 0.5, 2),
        (4, [*pods(0.0, 0.0, 0.0), UNKNOWN], 0.5, 2),
        (2, [*pods(1.5), UNKNOWN], 0.5, 3),
        (2, [*pods(0.7), UNKNOWN], 0.5, 2),
    ],
    ids=[
        "on target",
        "within tolerance",
        "a little above",
        "twice",
        "idle",
        "by request",
        "unready dampens",
        "unready dampens a little",
        "unready is no reason to stay",
        "unknown is taken to be busy",
        "idle enough anyway",
        "unknown is taken to be idle",
        "turned back",
    ],
)
def test_pods_are_wanted_in_proportion_to_their_use(
    current: int, loads: list[PodLoad], target: float, wanted: int
) -> None:
    found = propose(current, loads, target)
    assert found is not None
    assert found.replicas == wanted


def test_nothing_is_wanted_when_nobody_is_measured() -> None:
    assert propose(2, [UNREADY, UNKNOWN], 0.5) is None
    assert propose(2, [], 0.5) is None


def test_more_pods_come_at_once_but_no_more_than_the_policy_allows_in_its_period() -> None:
    memory = Memory()
    first = settle(40, 2, memory, WIDE, UP, DOWN, now=0.0)
    assert (first.replicas, first.limit) == (6, Limit.UP_RATE)
    memory.note_change(0.0, 4, UP, DOWN)
    assert settle(40, 6, memory, WIDE, UP, DOWN, now=10.0).replicas == 6
    assert settle(40, 6, memory, WIDE, UP, DOWN, now=16.0).replicas == 12


def test_fewer_pods_are_wanted_for_five_minutes_before_any_goes() -> None:
    memory = Memory()
    assert settle(10, 10, memory, WIDE, UP, DOWN, now=0.0).replicas == 10
    for now in (15.0, 150.0, 300.0):
        held = settle(2, 10, memory, WIDE, UP, DOWN, now)
        assert (held.replicas, held.stabilized) == (10, True)
    assert settle(2, 10, memory, WIDE, UP, DOWN, now=301.0).replicas == 2


def test_a_window_upwards_lets_a_short_peak_pass() -> None:
    slow = Rules(UP.policies, window_s=60.0)
    memory = Memory()
    settle(2, 2, memory, WIDE, slow, DOWN, now=0.0)
    assert settle(4, 2, memory, WIDE, slow, DOWN, now=15.0).replicas == 2
    assert settle(4, 2, memory, WIDE, slow, DOWN, now=61.0).replicas == 4


def test_policies_downwards_take_the_larger_step_or_the_smaller() -> None:
    both = (Policy(1, False, 60.0), Policy(50, True, 60.0))
    for select, left in ((Select.MAX, 5), (Select.MIN, 9), (Select.DISABLED, 10)):
        found = settle(1, 10, Memory(), WIDE, UP, Rules(both, select), now=0.0)
        assert found.replicas == left


@pytest.mark.parametrize(
    ("wanted", "bounds", "replicas", "limit"),
    [
        (1, Bounds(3, 10), 3, Limit.TOO_FEW),
        (12, Bounds(1, 8), 8, Limit.TOO_MANY),
        (8, Bounds(1, 8), 8, Limit.NONE),
        (5, Bounds(5, 5), 5, Limit.NONE),
    ],
)
def test_bounds_hold(wanted: int, bounds: Bounds, replicas: int, limit: Limit) -> None:
    found = settle(wanted, 5, Memory(), bounds, AT_ONCE, AT_ONCE, now=0.0)
    assert (found.replicas, found.limit) == (replicas, limit)


def test_what_is_remembered_does_not_grow() -> None:
    memory = Memory()
    for now in range(0, 10_000, 15):
        settle(3, 3, memory, WIDE, UP, DOWN, float(now))
        memory.note_change(float(now), 1, UP, DOWN)
    assert len(memory.recommended) <= 21
    assert len(memory.changed) <= 2


def test_behaviour_is_read_over_the_defaults() -> None:
    spec: dict[str, Any] = {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}], "selectPolicy": "Min"}
    assert read_rules(spec, DOWN) == Rules((Policy(2, False, 60.0),), Select.MIN, 300.0)
    assert read_rules({"stabilizationWindowSeconds": 0}, DOWN) == Rules(DOWN.policies, Select.MAX, 0.0)
    assert read_rules(None, UP) == UP
