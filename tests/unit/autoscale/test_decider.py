"""The decision, in tables and along curves of load."""

import dataclasses
import math
from collections.abc import Callable

import pytest

from eventmesh.autoscale.config import AutoscalerConfig
from eventmesh.autoscale.decider import (
    DeciderState,
    Decision,
    Load,
    ServiceMode,
    activators,
    decide,
    initial_state,
    mode_of,
    undecided,
)
from eventmesh.autoscale.spec import ScaleSpec, spec_of
from eventmesh.autoscale.windows import Window

TICK_S = 2.0
SPEC = dataclasses.replace(
    spec_of({}, AutoscalerConfig(), 0, reachable=True), target=10.0, total=14.0, target_burst_capacity=0.0
)


def spec(**changes: object) -> ScaleSpec:
    return dataclasses.replace(SPEC, **changes)  # type: ignore[arg-type]  # a table of fields


@pytest.mark.parametrize(
    ("stable", "panic", "ready", "changes", "desired"),
    [
        (0.0, 0.0, 0, {}, 0),
        (1.0, 1.0, 0, {}, 1),
        (10.0, 10.0, 1, {}, 1),
        (10.1, 10.1, 1, {}, 2),
        (0.0, 0.0, 1, {}, 0),
        (0.0, 0.0, 10, {}, 5),
        (0.0, 0.0, 10, {"max_scale_down_rate": 4.0}, 2),
        (0.0, 0.0, 10, {"reachable": False}, 0),
        (1000.0, 10.0, 10, {"max_scale_up_rate": 2.0}, 20),
        # A slow rate still lets one pod be added: ceil(1.1 * 2) = 3.
        (50.0, 30.0, 2, {"max_scale_up_rate": 1.1}, 3),
        (1.0, 1.0, 0, {"activation_scale": 3}, 3),
        (0.0, 0.0, 0, {"activation_scale": 3}, 0),
        (50.0, 50.0, 4, {"activation_scale": 3}, 5),
    ],
)
def test_the_wish_while_calm(stable: float, panic: float, ready: int, changes: dict[str, object], desired: int) -> None:
    decision = decide(Load(stable, panic, ready), spec(**changes), DeciderState(), 100.0)
    assert decision.desired == desired


@pytest.mark.parametrize(
    ("burst", "ready", "panic", "excess"),
    [
        (0.0, 5, 1e6, 0),
        (-1.0, 5, 0.0, -1),
        (211.0, 1, 0.0, -197),
        (20.0, 2, 8.0, 0),
        (20.0, 2, 8.5, -1),
        (14.0, 0, 0.0, -14),
    ],
)
def test_excess_burst_capacity(burst: float, ready: int, panic: float, excess: int) -> None:
    decision = decide(Load(1.0, panic, ready), spec(target_burst_capacity=burst), DeciderState(), 0.0)
    assert decision.excess_burst_capacity == excess


@pytest.mark.parametrize(
    ("desired", "excess", "mode"),
    [(1, 0, ServiceMode.SERVE), (1, -1, ServiceMode.PROXY), (0, 5, ServiceMode.PROXY)],
)
def test_the_activator_is_in_the_path_at_zero_and_without_spare_capacity(
    desired: int, excess: int, mode: ServiceMode
) -> None:
    assert mode_of(desired, excess) is mode
    assert Decision(desired, excess, 2, DeciderState()).mode is mode


@pytest.mark.parametrize(
    ("ready", "burst", "count"),
    [(0, 0.0, 2), (1000, 0.0, 2), (1, 211.0, 3), (100, 211.0, 17), (10, -1.0, 2), (0, 1.0, 2)],
)
def test_activators_grow_with_capacity(ready: int, burst: float, count: int) -> None:
    assert activators(ready, spec(target_burst_capacity=burst)) == count


def test_before_any_measurement_the_initial_scale_is_judged_idle() -> None:
    first = undecided(spec(initial_scale=3, target_burst_capacity=50.0))
    assert (first.desired, first.excess_burst_capacity) == (3, 3 * 14 - 50)


def test_overload_panics_at_once_and_never_scales_down_while_it_lasts() -> None:
    first = decide(Load(5.0, 25.0, 1), SPEC, DeciderState(), 100.0)
    assert (first.panicking, first.desired) == (True, 3)
    calmer = decide(Load(5.0, 5.0, 3), SPEC, first.state, 110.0)
    assert (calmer.panicking, calmer.desired) == (True, 3)
    higher = decide(Load(45.0, 5.0, 3), SPEC, calmer.state, 112.0)
    assert higher.desired == 5


def test_panic_ends_a_stable_window_after_the_last_overload() -> None:
    state = decide(Load(5.0, 25.0, 1), SPEC, DeciderState(), 100.0).state
    again = decide(Load(5.0, 60.0, 3), SPEC, state, 120.0)
    assert again.state.panic_since == 120.0
    still = decide(Load(5.0, 5.0, 6), SPEC, again.state, 180.0)
    assert still.panicking
    over = decide(Load(5.0, 5.0, 6), SPEC, still.state, 180.1)
    assert (over.panicking, over.desired, over.state.max_panic_pods) == (False, 3, 0)


@pytest.mark.parametrize(("ready", "panicking", "desired"), [(0, False, 0), (1, False, 0), (6, True, 6)])
def test_a_restarted_autoscaler_keeps_what_runs(ready: int, panicking: bool, desired: int) -> None:
    decision = decide(Load(0.0, 0.0, ready), SPEC, initial_state(ready, 50.0), 52.0)
    assert (decision.panicking, decision.desired) == (panicking, desired)


def test_scale_down_waits_for_its_delay_and_takes_the_largest_of_it() -> None:
    slow = spec(scale_down_delay_s=10.0, max_scale_down_rate=1000.0)
    wishes, state = [], DeciderState()
    for at, load in ((0.0, 50.0), (4.0, 30.0), (8.0, 5.0), (10.0, 5.0), (14.0, 5.0), (15.0, 12.0)):
        decision = decide(Load(load, load, 5), slow, state, at)
        state = decision.state
        wishes.append(decision.desired)
    assert wishes == [5, 5, 5, 3, 1, 2]
    assert len(state.recent) == 1


def test_an_unreachable_revision_does_not_wait() -> None:
    slow = spec(scale_down_delay_s=10.0, reachable=False)
    state = decide(Load(50.0, 50.0, 5), slow, DeciderState(), 0.0).state
    assert decide(Load(0.0, 0.0, 5), slow, state, 1.0).desired == 0


def replay(curve: Callable[[int], float], seconds: int, spec: ScaleSpec) -> list[int]:
    """Feed a load curve second by second; pods follow each decision at once. Return the pods after each tick."""
    stable, panic = Window(spec.stable_window_s), Window(spec.panic_window_s)
    state, pods, course = DeciderState(), 1, []
    for second in range(seconds):
        now = float(second)
        stable.record(curve(second), now)
        panic.record(curve(second), now)
        if second % TICK_S == 0:
            load = Load(stable.average(now) or 0.0, panic.average(now) or 0.0, pods)
            decision = decide(load, spec, state, now)
            state, pods = decision.state, decision.desired
            course.append(pods)
    return course


def test_a_step_of_load_is_met_within_two_ticks_of_filling_the_panic_window() -> None:
    course = replay(lambda second: 5.0 if second < 60 else 100.0, 80, SPEC)
    assert course[:30] == [1] * 30
    assert course[33] >= 9
    assert max(course) == course[-1] == 10


def test_a_spike_is_held_for_a_stable_window_and_then_forgotten_by_halves() -> None:
    course = replay(lambda second: 100.0 if 20 <= second < 30 else 1.0, 200, SPEC)
    peak = max(course)
    held = [tick * 2 for tick, pods in enumerate(course) if pods == peak]
    assert peak == 10
    # The last overload is seen when the panic window fills, two ticks into the spike at the latest.
    assert held[-1] >= 20 + SPEC.stable_window_s
    assert course[-1] == 1
    falls = [(before, after) for before, after in zip(course, course[1:], strict=False) if after < before]
    assert all(after >= before // 2 for before, after in falls)


def test_a_ramp_is_followed_without_overshoot() -> None:
    course = replay(lambda second: second / 4, 400, SPEC)
    needed = [math.ceil(tick * 2 / 4 / SPEC.target) for tick in range(len(course))]
    assert all(pods <= need for pods, need in zip(course, needed, strict=True))
    assert course[-1] >= needed[-1] - 1


def test_silence_leads_to_zero_only_after_the_window_has_emptied() -> None:
    course = replay(lambda second: 5.0 if second < 10 else 0.0, 100, SPEC)
    assert course[34] == 1
    assert course[35:] == [0] * len(course[35:])
