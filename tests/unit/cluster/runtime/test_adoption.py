"""What is read of pods that another runtime has left, and how their machine goes on, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.clock import rfc3339
from eventmesh.cluster.runtime.adoption import LeftPod, Mark, age_s, image_ids, left_pods, ready_containers, recall
from eventmesh.cluster.runtime.container import Container, RestartPolicy, Role, Running, Terminated, Waiting
from eventmesh.cluster.runtime.orders import Ask, Send, Start
from eventmesh.cluster.runtime.pod import PodMachine
from eventmesh.cluster.runtime.probe import Outcome, Probe, Purpose, TcpSocket
from eventmesh.cluster.runtime.process import Process, Survivor
from tests.manual_clock import ManualClock

MARK = Mark("u1", "app", "127.64.0.16", 8080, "http1", 12)


def survivor(mark: Mark) -> Survivor:
    return Survivor(Process(7), mark.label(), ())


def pod(clock: ManualClock, *statuses: dict[str, Any], init: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    started = rfc3339(clock.now())
    return {"status": {"startTime": started, "containerStatuses": statuses, "initContainerStatuses": init}}


def told(name: str, state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "ready": False, "restartCount": 0, "imageID": "", **more}


def runs(clock: ManualClock) -> dict[str, Any]:
    return {"running": {"startedAt": rfc3339(clock.now())}}


def ended(clock: ManualClock, code: int) -> dict[str, Any]:
    now = rfc3339(clock.now())
    return {"terminated": {"exitCode": code, "reason": "Error", "startedAt": now, "finishedAt": now}}


def machine(clock: ManualClock, *containers: Container, **settings: Any) -> PodMachine:
    return PodMachine(containers, settings.pop("restart", RestartPolicy.ALWAYS), clock, **settings)


async def test_what_was_left_is_sorted_by_pod_and_what_is_no_pods_passed_over() -> None:
    sidecar = Mark("u1", "queue-proxy", "127.64.0.16", 8080, "http1", 12)
    other = Mark("u2", "app", "127.64.0.17", 80, "bolt", None, "ready-1")
    gateway = Survivor(Process(9), "gateway", ())
    found = left_pods([gateway, survivor(MARK), survivor(other), survivor(sidecar)])
    assert {uid: sorted(left.processes) for uid, left in found.items()} == {"u1": ["app", "queue-proxy"], "u2": ["app"]}
    assert (found["u1"].mark, found["u2"].mark) == (MARK, other)
    assert (found["u1"].groups, found["u2"].groups) == ({}, {"app": "ready-1"})


async def test_a_container_is_recalled_with_its_past() -> None:
    clock = ManualClock()
    seen = pod(
        clock, told("app", runs(clock), restartCount=3, lastState=ended(clock, 9), imageID="dev.local/x@sha256:1")
    )
    await clock.advance(60.0)
    app = Container("app")
    recall({"app": app}, seen, LeftPod(MARK, {"app": survivor(MARK)}), clock)
    assert isinstance(app.state, Running)
    assert clock.monotonic() - app.state.since == pytest.approx(60.0, abs=1.0)
    assert (app.restarts, app.run, app.last and app.last.code) == (3, 1, 9)
    assert image_ids(seen) == {"app": "dev.local/x@sha256:1"}
    assert age_s(seen, clock) == pytest.approx(60.0, abs=1.0)


async def test_a_process_that_was_left_counts_more_than_an_older_status() -> None:
    clock = ManualClock()
    app = Container("app")
    recall({"app": app}, pod(clock, told("app", {"waiting": {}})), LeftPod(MARK, {"app": survivor(MARK)}), clock)
    assert app.running


async def test_a_pod_that_was_ready_goes_on_without_a_start() -> None:
    clock = ManualClock()
    seen = pod(clock, told("app", runs(clock), ready=True))
    pods = machine(clock, Container("app", pushed=True), Container("mesh", Role.MESH))
    left = LeftPod(MARK, {"app": survivor(MARK), "mesh": survivor(MARK)})
    recall(pods.containers, seen, left, clock)
    assert pods.resume(0.0, ready_containers(seen)) == []
    assert pods.ready
    assert pods.exited("app", 1) == [Start("app")]


async def test_a_pod_that_was_not_ready_is_told_as_any_other() -> None:
    clock = ManualClock()
    pods = machine(clock, Container("app", pushed=True))
    recall(pods.containers, pod(clock, told("app", runs(clock))), LeftPod(MARK, {"app": survivor(MARK)}), clock)
    assert pods.resume(0.0, ()) == []
    assert not pods.ready
    pods.told_ready(True)
    assert pods.ready


async def test_only_what_is_missing_is_started() -> None:
    clock = ManualClock()
    pods = machine(clock, Container("app"), Container("beside"), Container("mesh", Role.MESH))
    seen = pod(clock, told("app", runs(clock)), told("beside", {"waiting": {"reason": "CrashLoopBackOff"}}))
    recall(pods.containers, seen, LeftPod(MARK, {"app": survivor(MARK)}), clock)
    assert pods.resume(0.0, ()) == [Start("mesh"), Start("beside")]


async def test_init_containers_go_on_where_they_were() -> None:
    clock = ManualClock()
    containers = (Container("one", Role.INIT), Container("two", Role.INIT), Container("app"))
    done, two = told("one", ended(clock, 0)), Mark("u1", "two", "", 0, "", None)
    pods = machine(clock, *containers)
    recall(
        pods.containers, pod(clock, init=(done, told("two", runs(clock)))), LeftPod(two, {"two": survivor(two)}), clock
    )
    assert pods.resume(0.0, ()) == []
    assert pods.uninitialized == ["two"]
    assert pods.exited("two", 0) == [Start("app")]


async def test_an_init_container_that_had_not_begun_is_started() -> None:
    clock = ManualClock()
    pods = machine(clock, Container("one", Role.INIT), Container("app"), Container("mesh", Role.MESH))
    recall(pods.containers, pod(clock), LeftPod(MARK, {"mesh": survivor(MARK)}), clock)
    assert pods.resume(0.0, ()) == [Start("one")]


@pytest.mark.parametrize(("before", "passed"), [(True, True), (False, False)])
async def test_a_side_container_is_waited_for_until_it_has_started(before: bool, passed: bool) -> None:
    """One that starts once more, when the work has begun, holds nothing up."""
    clock = ManualClock()
    side = Container("side", Role.SIDE, probes=(Probe(Purpose.STARTUP, TcpSocket(80)),))
    pods = machine(clock, side, Container("app"), Container("other"))
    apps = (told("app", runs(clock)), told("other", {"waiting": {}})) if before else ()
    seen = pod(clock, *apps, init=(told("side", runs(clock)),))
    recall(pods.containers, seen, LeftPod(MARK, {"side": survivor(MARK)}), clock)
    orders = pods.resume(0.0, ())
    assert orders == ([Start("other")] if passed else [])
    (ask,) = pods.tick()
    assert isinstance(ask, Ask)
    after = pods.probed("side", Purpose.STARTUP, ask.run, Outcome(success=True))
    assert after == ([] if passed else [Start("app"), Start("other")])


async def test_what_had_ended_for_good_is_not_started_again() -> None:
    clock = ManualClock()
    pods = machine(clock, Container("app"), Container("mesh", Role.MESH), restart=RestartPolicy.NEVER)
    seen = pod(clock, told("app", ended(clock, 4)))
    recall(pods.containers, seen, LeftPod(MARK, {"mesh": survivor(MARK)}), clock)
    assert isinstance(pods.containers["app"].state, Terminated)
    # The sidecar had only run for it.
    assert [type(order) for order in pods.resume(0.0, ())] == [Send]
    assert pods.finished


async def test_a_deadline_counts_from_the_first_start() -> None:
    clock = ManualClock()
    pods = machine(clock, Container("app"), deadline_s=100.0)
    recall(pods.containers, pod(clock, told("app", runs(clock))), LeftPod(MARK, {"app": survivor(MARK)}), clock)
    pods.resume(70.0, ())
    await clock.advance(29.0)
    assert not pods.tick() and not pods.expired
    await clock.advance(1.0)
    assert pods.tick() and pods.expired


async def test_a_startup_probe_that_had_passed_is_not_asked_again() -> None:
    clock = ManualClock()
    probes = (Probe(Purpose.STARTUP, TcpSocket(80)), Probe(Purpose.LIVENESS, TcpSocket(80)))
    seen = pod(clock, told("app", runs(clock), ready=True))
    pods = machine(clock, Container("app", probes=probes))
    recall(pods.containers, seen, LeftPod(MARK, {"app": survivor(MARK)}), clock)
    pods.resume(0.0, ready_containers(seen))
    assert pods.ready
    assert [order.probe.purpose for order in pods.tick() if isinstance(order, Ask)] == [Purpose.LIVENESS]


async def test_a_container_in_back_off_keeps_the_reason_it_waits_for_until_it_runs() -> None:
    clock = ManualClock()
    app = Container("app")
    recall({"app": app}, pod(clock, told("app", {"waiting": {"reason": "X"}}, restartCount=2)), LeftPod(MARK), clock)
    assert (app.state, app.restarts) == (Waiting(), 2)
