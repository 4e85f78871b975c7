"""Init containers, restart policies and deadlines, in virtual time."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from eventmesh.cluster.runtime.container import Container, RestartPolicy, Role, Waiting
from eventmesh.cluster.runtime.orders import Order, Send, Start, Tell
from eventmesh.cluster.runtime.pod import PodMachine
from eventmesh.cluster.runtime.status import Facts, pod_status
from eventmesh.kube.api import Object
from eventmesh.kube.status import condition
from tests.manual_clock import ManualClock

SPEC: Object = {
    "initContainers": [{"name": "one", "image": "i"}, {"name": "two", "image": "i"}],
    "containers": [{"name": "app", "image": "i"}],
}


def machine(clock: ManualClock, restart: RestartPolicy = RestartPolicy.ALWAYS, **values: Any) -> PodMachine:
    containers = [
        Container("one", Role.INIT),
        Container("two", Role.INIT),
        Container("app", pushed=True),
        Container("mesh", Role.MESH),
    ]
    return PodMachine(containers, restart, clock, **values)


def begin(pod: PodMachine, orders: list[Order]) -> list[str]:
    names = [order.container for order in orders if isinstance(order, Start)]
    for name in names:
        pod.started(name)
    return names


def show(pod: PodMachine, clock: ManualClock) -> Object:
    return pod_status({"metadata": {"name": "p"}, "spec": SPEC}, pod, Facts("127.64.0.20", {}), clock.now())


def stands(status: Object, kind: str) -> tuple[str, str]:
    found = condition({"status": status}, kind)
    assert found is not None
    return found["status"], found.get("reason", "")


def test_each_begins_when_the_one_before_has_succeeded_and_the_work_after_the_last() -> None:
    clock = ManualClock()
    pod = machine(clock)
    assert begin(pod, pod.start()) == ["mesh", "one"]
    assert pod.containers["app"].state == Waiting("PodInitializing")
    status = show(pod, clock)
    assert (status["phase"], stands(status, "Initialized")) == ("Pending", ("False", "ContainersNotInitialized"))
    assert begin(pod, pod.exited("one", 0)) == ["two"]
    assert begin(pod, pod.exited("two", 0)) == ["app"]
    pod.told_ready(True)
    status = show(pod, clock)
    assert (status["phase"], stands(status, "Initialized"), pod.ready) == ("Running", ("True", ""), True)
    assert [each["ready"] for each in status["initContainerStatuses"]] == [True, True]
    assert status["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"


@pytest.mark.parametrize("restart", [RestartPolicy.ALWAYS, RestartPolicy.ON_FAILURE])
async def test_one_that_fails_is_tried_again_with_back_off(restart: RestartPolicy) -> None:
    clock = ManualClock()
    pod = machine(clock, restart)
    begin(pod, pod.start())
    assert begin(pod, pod.exited("one", 1)) == ["one"]
    assert pod.exited("one", 1) == [Tell("BackOff", "Back-off restarting failed container one")]
    (entry, _) = show(pod, clock)["initContainerStatuses"]
    assert entry["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert (entry["lastState"]["terminated"]["exitCode"], entry["restartCount"]) == (1, 1)
    await clock.advance(10.0)
    assert begin(pod, pod.tick()) == ["one"]
    assert begin(pod, pod.exited("one", 0)) == ["two"]


def test_one_that_fails_ends_a_pod_that_never_restarts() -> None:
    clock = ManualClock()
    pod = machine(clock, RestartPolicy.NEVER)
    begin(pod, pod.start())
    assert pod.exited("one", 7) == [Send("mesh", signal.SIGTERM)]
    assert pod.finished
    status = show(pod, clock)
    assert (status["phase"], stands(status, "Ready")) == ("Failed", ("False", "PodFailed"))
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"


def test_readiness_told_while_an_init_container_runs_is_forgotten() -> None:
    pod = machine(ManualClock())
    begin(pod, pod.start())
    pod.told_ready(True)
    begin(pod, pod.exited("one", 0))
    begin(pod, pod.exited("two", 0))
    assert not pod.ready


def test_a_pod_told_to_go_while_it_begins_ends_its_init_container() -> None:
    pod = machine(ManualClock())
    begin(pod, pod.start())
    assert pod.terminate(30.0) == [Send("mesh", signal.SIGTERM)]
    assert pod.exited("mesh", 0) == [Send("one", signal.SIGTERM)]
    pod.exited("one", -15)
    assert pod.gone


@pytest.mark.parametrize(
    ("restart", "status", "again"),
    [
        (RestartPolicy.ALWAYS, 0, True),
        (RestartPolicy.ALWAYS, 1, True),
        (RestartPolicy.ON_FAILURE, 0, False),
        (RestartPolicy.ON_FAILURE, 1, True),
        (RestartPolicy.NEVER, 0, False),
        (RestartPolicy.NEVER, 1, False),
    ],
)
def test_the_restart_policy_says_what_begins_again(restart: RestartPolicy, status: int, again: bool) -> None:
    pod = PodMachine([Container("app")], restart, ManualClock())
    begin(pod, pod.start())
    assert begin(pod, pod.exited("app", status)) == (["app"] if again else [])
    assert pod.finished is not again


def test_a_program_that_cannot_be_executed_ends_a_pod_that_never_restarts() -> None:
    clock = ManualClock()
    pod = PodMachine([Container("app")], RestartPolicy.NEVER, clock)
    pod.start()
    pod.exited("app", 128, "cannot start 'x'", "StartError")
    ended = show_bare(pod, clock)["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (128, "StartError", "cannot start 'x'")


def show_bare(pod: PodMachine, clock: ManualClock) -> Object:
    spec = {"containers": SPEC["containers"]}
    return pod_status({"metadata": {"name": "p"}, "spec": spec}, pod, Facts("127.64.0.20", {}), clock.now())


async def test_a_pod_past_its_deadline_fails_however_it_ends() -> None:
    clock = ManualClock()
    pod = PodMachine([Container("app")], RestartPolicy.ALWAYS, clock, grace_s=5.0, deadline_s=60.0)
    begin(pod, pod.start())
    assert pod.wake_at == 60.0
    await clock.advance(60.0)
    orders = pod.tick()
    assert orders[1:] == [Send("app", signal.SIGTERM)]
    await clock.advance(5.0)
    assert pod.tick() == [Send("app", signal.SIGKILL)]
    assert pod.exited("app", 0) == []
    status = show_bare(pod, clock)
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert pod.wake_at is None


async def test_a_pod_past_its_deadline_in_back_off_ends_at_once() -> None:
    clock = ManualClock()
    pod = machine(clock, deadline_s=5.0)
    begin(pod, pod.start())
    begin(pod, pod.exited("one", 1))
    pod.exited("one", 1)
    await clock.advance(5.0)
    assert pod.tick()[1:] == [Send("mesh", signal.SIGTERM)]
    assert pod.finished
    pod.exited("mesh", 0)
    assert pod.wake_at is None
