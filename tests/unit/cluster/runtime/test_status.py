"""What the API shows of a pod."""

from __future__ import annotations

from eventmesh.cluster.runtime.container import Container, RestartPolicy, Role
from eventmesh.cluster.runtime.orders import Start
from eventmesh.cluster.runtime.pod import PodMachine
from eventmesh.cluster.runtime.status import Facts, pod_status
from eventmesh.kube.api import Object
from eventmesh.kube.status import condition
from tests.manual_clock import ManualClock

FACTS = Facts("127.64.0.20", {"app": "dev.local/hello@sha256:00"})
POD: Object = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app", "image": "dev.local/hello"}]}}


def machine(clock: ManualClock, restart: RestartPolicy = RestartPolicy.ALWAYS) -> PodMachine:
    return PodMachine([Container("app", pushed=True), Container("mesh", Role.MESH)], restart, clock)


def started(clock: ManualClock, restart: RestartPolicy = RestartPolicy.ALWAYS) -> PodMachine:
    pod = machine(clock, restart)
    for order in pod.start():
        assert isinstance(order, Start)
        pod.started(order.container)
    return pod


def show(pod: PodMachine, clock: ManualClock, stored: Object | None = None) -> Object:
    return pod_status({**POD, "status": stored or {}}, pod, FACTS, clock.now())


def is_true(status: Object, kind: str) -> bool:
    found = condition({"status": status}, kind)
    return found is not None and found["status"] == "True"


def test_a_pod_is_pending_then_running_then_ready() -> None:
    clock = ManualClock()
    pod = machine(clock)
    assert show(pod, clock)["phase"] == "Pending"
    for order in pod.start():
        assert isinstance(order, Start)
        pod.started(order.container)
    status = show(pod, clock)
    assert (status["phase"], status["podIP"], is_true(status, "Ready")) == ("Running", "127.64.0.20", False)
    pod.told_ready(True)
    status = show(pod, clock)
    assert is_true(status, "Ready")
    assert status["containerStatuses"][0]["ready"]
    assert status["containerStatuses"][0]["imageID"] == "dev.local/hello@sha256:00"


def test_only_containers_of_the_spec_are_shown() -> None:
    clock = ManualClock()
    assert [entry["name"] for entry in show(started(clock), clock)["containerStatuses"]] == ["app"]


async def test_a_condition_keeps_the_time_of_its_last_turn() -> None:
    clock = ManualClock()
    pod = started(clock)
    first = show(pod, clock)
    await clock.advance(60.0)
    second = show(pod, clock, first)
    assert second["conditions"] == first["conditions"]
    assert second["startTime"] == first["startTime"]
    pod.told_ready(True)
    turned = condition({"status": show(pod, clock, second)}, "Ready")
    assert turned is not None
    assert turned["lastTransitionTime"] == "2026-01-01T00:01:00Z"


def test_a_crash_shows_the_run_before_and_what_is_waited_for() -> None:
    clock = ManualClock()
    pod = started(clock)
    pod.exited("app", 3, "no database")
    pod.started("app")
    pod.exited("app", -11)
    status = show(pod, clock)
    (entry,) = status["containerStatuses"]
    assert status["phase"] == "Running"
    assert entry["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert (entry["lastState"]["terminated"]["exitCode"], entry["lastState"]["terminated"]["signal"]) == (139, 11)
    assert entry["restartCount"] == 1


def test_a_silent_function_is_told_in_the_conditions_until_it_answers() -> None:
    clock = ManualClock()
    pod = started(clock)
    assert ready_condition(show(pod, clock)) == ("False", "ContainersNotReady")
    pod.silent("app", pod.containers["app"].run, "app listens on no port")
    assert ready_condition(show(pod, clock)) == ("False", "ContainersSilent")
    told = condition({"status": show(pod, clock)}, "ContainersReady")
    assert told is not None and told["message"] == "app listens on no port"
    pod.told_ready(True)
    assert ready_condition(show(pod, clock)) == ("True", "")


def ready_condition(status: Object) -> tuple[str, str]:
    found = condition({"status": status}, "Ready")
    assert found is not None
    return found["status"], found.get("reason", "")


def test_a_pod_that_ran_to_its_end_has_succeeded_or_failed() -> None:
    for code, phase in ((0, "Succeeded"), (1, "Failed")):
        clock = ManualClock()
        pod = started(clock, RestartPolicy.NEVER)
        pod.exited("app", code)
        assert show(pod, clock)["phase"] == phase


def test_a_pod_without_a_network_of_its_own_says_why() -> None:
    clock = ManualClock()
    note = "not allowed here"
    status = pod_status(POD, started(clock), Facts("127.64.0.20", {}, note), clock.now())
    found = condition({"status": status}, "eventmesh.io/NetworkIsolated")
    assert found is not None
    assert (found["status"], found["message"]) == ("False", note)
