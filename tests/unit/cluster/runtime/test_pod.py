"""The life of a pod, in virtual time."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from eventmesh.cluster.runtime.container import (
    FIRST_BACK_OFF_S,
    FORGIVEN_AFTER_S,
    MAX_BACK_OFF_S,
    Container,
    RestartPolicy,
    Role,
    Terminated,
    Waiting,
    back_off_s,
)
from eventmesh.cluster.runtime.orders import Order, Send, Start, Tell
from eventmesh.cluster.runtime.pod import SIDECAR_GRACE_S, PodMachine
from eventmesh.cluster.runtime.restarts import AT_WORK_AFTER_S, FIRST_WAIT_S, MAX_WAIT_S
from eventmesh.cluster.runtime.stage import Stage
from eventmesh.sidecar.readiness import FUNCTION_BEGAN_AGAIN
from tests.manual_clock import ManualClock


def deeds(orders: list[Order]) -> list[Order]:
    """Return the orders without the Events."""
    return [order for order in orders if not isinstance(order, Tell)]


def machine(clock: ManualClock, restart: RestartPolicy = RestartPolicy.ALWAYS, *, sidecar: bool = True) -> PodMachine:
    containers = [Container("app", pushed=sidecar)] + ([Container("mesh", Role.MESH)] if sidecar else [])
    return PodMachine(containers, restart, clock)


def running(clock: ManualClock, restart: RestartPolicy = RestartPolicy.ALWAYS, *, sidecar: bool = True) -> PodMachine:
    pod = machine(clock, restart, sidecar=sidecar)
    for order in pod.start():
        assert isinstance(order, Start)
        pod.started(order.container)
    return pod


def test_the_sidecar_is_started_before_the_function() -> None:
    assert machine(ManualClock()).start() == [Start("mesh"), Start("app")]


def test_a_pod_is_ready_when_its_sidecar_says_so_and_not_before() -> None:
    pod = running(ManualClock())
    assert not pod.ready
    pod.told_ready(True)
    assert pod.ready
    pod.told_ready(False)
    assert not pod.ready


def test_a_pod_without_sidecar_is_ready_when_it_runs() -> None:
    assert running(ManualClock(), sidecar=False).ready


def test_readiness_is_lost_with_the_process_and_must_be_told_again() -> None:
    pod = running(ManualClock())
    pod.told_ready(True)
    pod.exited("app", 1)
    assert not pod.ready
    pod.started("app")
    assert not pod.ready
    pod.told_ready(True)
    assert pod.ready


@pytest.mark.parametrize("status", [-9, 1, 0])
def test_the_sidecar_is_told_of_each_start_of_the_function_but_the_first(status: int) -> None:
    """It probes a function that was ready once in a period: it would call the next process ready that late."""
    pod = machine(ManualClock())
    pod.start()
    assert pod.started("mesh") == pod.started("app") == []
    pod.told_ready(True)
    assert pod.exited("app", status) == [Start("app")]
    assert pod.started("app") == [Send("mesh", FUNCTION_BEGAN_AGAIN)]


def test_no_sidecar_is_told_where_none_runs() -> None:
    pod = running(ManualClock())
    pod.exited("mesh", -9)
    pod.exited("app", -9)
    assert pod.started("app") == []
    alone = running(ManualClock(), sidecar=False)
    alone.exited("app", -9)
    assert alone.started("app") == []


async def test_restarts_come_at_once_then_after_10_20_40_seconds() -> None:
    clock = ManualClock()
    pod = running(clock)
    assert pod.exited("app", 1) == [Start("app")]
    for wait_s in (10.0, 20.0, 40.0):
        pod.started("app")
        assert deeds(pod.exited("app", 1)) == []
        assert isinstance(pod.containers["app"].state, Waiting)
        assert pod.containers["app"].state.reason == "CrashLoopBackOff"
        assert pod.wake_at == clock.monotonic() + wait_s
        await clock.advance(wait_s - 0.1)
        assert pod.tick() == []
        await clock.advance(0.1)
        assert pod.tick() == [Start("app")]
    assert pod.containers["app"].restarts == 4


async def test_a_long_run_clears_the_slate() -> None:
    clock = ManualClock()
    pod = running(clock)
    pod.exited("app", 1)
    pod.started("app")
    await clock.advance(FORGIVEN_AFTER_S)
    assert pod.exited("app", 1) == [Start("app")]


def test_the_back_off_ends_at_five_minutes() -> None:
    assert back_off_s(100) == MAX_BACK_OFF_S
    assert back_off_s(100, Role.MESH) == MAX_WAIT_S


async def test_a_sidecar_that_dies_again_is_back_soon_and_ready_only_when_it_says_so() -> None:
    clock = ManualClock()
    pod = running(clock)
    pod.told_ready(True)
    assert pod.exited("mesh", -9) == [Start("mesh")]
    pod.started("mesh")
    assert not pod.ready
    pod.told_ready(True)
    assert deeds(pod.exited("mesh", -9)) == []
    await clock.advance(FIRST_WAIT_S)
    assert pod.tick() == [Start("mesh")]
    pod.started("mesh")
    pod.told_ready(True)
    assert pod.ready
    await clock.advance(AT_WORK_AFTER_S)
    assert pod.exited("mesh", -9) == [Start("mesh")]


def test_what_is_found_of_a_silent_function_is_told_when_it_is_news_and_forgotten_with_its_process() -> None:
    pod = running(ManualClock())
    app = pod.containers["app"]
    assert pod.silent("app", app.run, "app sleeps") == [Tell("Unhealthy", "Readiness probe failed: app sleeps")]
    assert pod.silent("app", app.run, "app sleeps") == []
    assert len(pod.silent("app", app.run, "app listens elsewhere")) == 1
    pod.exited("app", 1)
    assert app.silence == ""
    pod.started("app")
    assert pod.silent("app", app.run - 1, "of the process before") == []
    pod.told_ready(True)
    assert pod.silent("app", app.run, "too late") == []
    assert app.silence == ""


def test_what_was_found_of_a_function_before_it_answered_is_not_told_when_it_no_longer_does() -> None:
    pod = running(ManualClock())
    app = pod.containers["app"]
    pod.silent("app", app.run, "app listens on no port")
    pod.told_ready(False)
    assert app.silence == "app listens on no port"
    pod.told_ready(True)
    pod.told_ready(False)
    assert app.silence == ""


async def test_one_that_others_kill_again_and_again_is_back_soon() -> None:
    clock = ManualClock()
    pod = running(clock)
    assert pod.exited("app", -9) == [Start("app")]
    for wait_s in (0.2, 0.4, 0.8):
        pod.started("app")
        assert deeds(pod.exited("app", -9)) == []
        assert pod.containers["app"].state == Waiting(
            "CrashLoopBackOff", f"back-off {wait_s}s restarting failed container app"
        )
        assert pod.wake_at == clock.monotonic() + wait_s
        await clock.advance(wait_s)
        assert pod.tick() == [Start("app")]
    pod.started("app")
    await clock.advance(AT_WORK_AFTER_S)
    assert pod.exited("app", -9) == [Start("app")], "it had been at work"


async def test_a_kill_is_not_counted_among_the_failures_and_forgives_none() -> None:
    clock = ManualClock()
    pod = running(clock)
    assert pod.exited("app", -9) == [Start("app")]
    pod.started("app")
    assert pod.exited("app", 1) == [Start("app")], "its first failure"
    pod.started("app")
    await clock.advance(AT_WORK_AFTER_S)
    assert pod.exited("app", -9) == [Start("app")]
    pod.started("app")
    assert deeds(pod.exited("app", 1)) == []
    assert pod.wake_at == clock.monotonic() + FIRST_BACK_OFF_S, "its second"


async def test_one_killed_for_want_of_memory_again_and_again_waits_as_one_that_fails() -> None:
    clock = ManualClock()
    pod = running(clock)
    assert pod.exited("app", -9, cause="OOMKilled") == [Start("app")]
    pod.started("app")
    assert deeds(pod.exited("app", -9, cause="OOMKilled")) == []
    assert pod.wake_at == clock.monotonic() + FIRST_BACK_OFF_S


@pytest.mark.parametrize(
    ("status", "code", "number"),
    [(0, 0, 0), (3, 3, 0), (-9, 137, 9), (-15, 143, 15)],
    ids=["ok", "fail", "kill", "term"],
)
def test_exit_codes_are_those_of_kubernetes(status: int, code: int, number: int) -> None:
    pod = running(ManualClock(), RestartPolicy.NEVER)
    pod.exited("app", status, "last words")
    state: Any = pod.containers["app"].state
    assert isinstance(state, Terminated)
    assert (state.code, state.signal, state.message) == (code, number, "last words")


def test_a_finished_pod_stops_its_sidecar_and_does_not_start_it_again() -> None:
    pod = running(ManualClock(), RestartPolicy.ON_FAILURE)
    assert pod.exited("app", 0) == [Send("mesh", signal.SIGTERM)]
    assert pod.finished
    pod.exited("mesh", 0)
    assert pod.wake_at is None


async def test_a_container_that_cannot_start_is_tried_again() -> None:
    clock = ManualClock()
    pod = machine(clock)
    pod.start()
    pod.started("mesh")
    assert pod.not_started("app", "ErrImagePull", "unknown image") == [
        Tell("Failed", "Error: ErrImagePull: unknown image")
    ]
    assert pod.containers["app"].state == Waiting("ErrImagePull", "unknown image")
    await clock.advance(1.0)
    assert pod.tick() == [Start("app")]
    assert pod.containers["app"].restarts == 0


def test_the_sidecar_drains_before_the_function_is_told_to_stop() -> None:
    pod = running(ManualClock())
    pod.told_ready(True)
    assert pod.terminate(300.0) == [Send("mesh", signal.SIGTERM)]
    assert not pod.ready
    assert pod.exited("mesh", 0) == [Send("app", signal.SIGTERM)]
    assert pod.exited("app", 0) == []
    assert pod.stage is Stage.GONE


async def test_a_sidecar_that_never_ends_its_drain_delays_the_function_only_so_long() -> None:
    clock = ManualClock()
    pod = running(clock)
    pod.terminate(300.0)
    assert pod.wake_at == SIDECAR_GRACE_S
    await clock.advance(SIDECAR_GRACE_S)
    assert pod.tick() == [Send("app", signal.SIGTERM)]
    assert pod.exited("app", 0) == []
    assert pod.stage is Stage.STOPPING


async def test_what_is_left_after_the_grace_is_killed() -> None:
    clock = ManualClock()
    pod = running(clock, sidecar=False)
    assert pod.terminate(5.0) == [Send("app", signal.SIGTERM)]
    await clock.advance(5.0)
    assert pod.tick() == [Send("app", signal.SIGKILL)]
    pod.exited("app", -9)
    assert pod.stage is Stage.GONE


async def test_a_second_termination_may_only_shorten_the_grace() -> None:
    clock = ManualClock()
    pod = running(clock, sidecar=False)
    pod.terminate(300.0)
    pod.terminate(600.0)
    assert pod.wake_at == 300.0
    assert pod.terminate(0.0) == [Send("app", signal.SIGKILL)]


def test_a_pod_in_back_off_is_gone_at_once_when_told_to_go() -> None:
    pod = running(ManualClock(), sidecar=False)
    pod.exited("app", 1)
    pod.started("app")
    pod.exited("app", 1)
    assert pod.terminate(300.0) == []
    assert pod.stage is Stage.GONE
