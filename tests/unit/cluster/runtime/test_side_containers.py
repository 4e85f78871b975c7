"""Side containers: init containers that run for the whole life of a pod, in virtual time."""

from __future__ import annotations

import signal

from eventmesh.cluster.runtime import podspec
from eventmesh.cluster.runtime.container import Container, RestartPolicy, Role, Running
from eventmesh.cluster.runtime.orders import Order, Send, Start, Tell
from eventmesh.cluster.runtime.pod import PodMachine
from eventmesh.cluster.runtime.probe import Outcome, Probe, Purpose, TcpSocket
from eventmesh.kube.api import Object
from tests.manual_clock import ManualClock

STARTUP = Probe(Purpose.STARTUP, TcpSocket(1))
READINESS = Probe(Purpose.READINESS, TcpSocket(1))


def machine(
    clock: ManualClock, *probes: Probe, restart: RestartPolicy = RestartPolicy.ALWAYS, mesh: bool = False
) -> PodMachine:
    containers = [
        Container("first", Role.INIT),
        Container("proxy", Role.SIDE, probes),
        Container("last", Role.INIT),
        Container("app"),
    ]
    return PodMachine([*containers, *([Container("mesh", Role.MESH)] if mesh else [])], restart, clock)


def begin(pod: PodMachine, orders: list[Order]) -> list[str]:
    """Start what is ordered, and what follows from that; return the names in order."""
    names = []
    for order in orders:
        if isinstance(order, Start):
            names += [order.container, *begin(pod, pod.started(order.container))]
    return names


def running(clock: ManualClock, restart: RestartPolicy = RestartPolicy.ALWAYS, *, mesh: bool = False) -> PodMachine:
    pod = machine(clock, restart=restart, mesh=mesh)
    begin(pod, pod.start())
    begin(pod, pod.exited("first", 0))
    begin(pod, pod.exited("last", 0))
    assert isinstance(pod.containers["app"].state, Running)
    return pod


def test_the_next_begins_when_the_side_container_has_started_and_leaves_it_running() -> None:
    pod = machine(ManualClock())
    assert begin(pod, pod.start()) == ["first"]
    assert begin(pod, pod.exited("first", 0)) == ["proxy", "last"]
    assert pod.uninitialized == ["last"]
    assert begin(pod, pod.exited("last", 0)) == ["app"]
    assert pod.uninitialized == []
    assert pod.containers["proxy"].running
    assert pod.ready


def test_the_next_waits_for_its_startup_probe_and_the_pod_for_its_readiness() -> None:
    pod = machine(ManualClock(), STARTUP, READINESS)
    begin(pod, pod.start())
    assert begin(pod, pod.exited("first", 0)) == ["proxy"]
    pod.tick()
    assert begin(pod, pod.probed("proxy", Purpose.STARTUP, 1, Outcome(True))) == ["last"]
    begin(pod, pod.exited("last", 0))
    assert not pod.ready
    pod.tick()
    pod.probed("proxy", Purpose.READINESS, 1, Outcome(True))
    assert pod.ready


def test_one_that_ends_is_started_again_whatever_the_pods_own_policy_and_nothing_else_with_it() -> None:
    pod = running(ManualClock(), RestartPolicy.NEVER)
    assert begin(pod, pod.exited("proxy", 0)) == ["proxy"]
    assert pod.exited("proxy", 1) == [Tell("BackOff", "Back-off restarting failed container proxy")]
    assert pod.containers["app"].running
    assert not pod.finished


def test_one_that_ends_while_another_prepares_does_not_start_that_twice() -> None:
    pod = machine(ManualClock())
    begin(pod, pod.start())
    begin(pod, pod.exited("first", 0))
    assert begin(pod, pod.exited("proxy", 1)) == ["proxy"]
    assert begin(pod, pod.exited("last", 0)) == ["app"]


async def test_when_the_work_is_done_it_is_ended_before_the_mesh_and_killed_after_the_grace() -> None:
    clock = ManualClock()
    pod = running(clock, RestartPolicy.NEVER, mesh=True)
    assert pod.exited("app", 0) == [Send("proxy", signal.SIGTERM)]
    await clock.advance(30.0)
    assert pod.tick() == [Send("proxy", signal.SIGKILL)]
    assert pod.exited("proxy", -9) == [Send("mesh", signal.SIGTERM)]
    assert pod.finished
    assert pod.exited("mesh", 0) == []
    assert pod.wake_at is None


def test_a_pod_told_to_go_ends_its_work_first() -> None:
    pod = running(ManualClock())
    assert pod.terminate(30.0) == [Send("app", signal.SIGTERM)]
    assert pod.exited("app", 0) == [Send("proxy", signal.SIGTERM)]
    assert pod.exited("proxy", 0) == []
    assert pod.gone


def test_a_pod_told_to_go_without_work_ends_its_side_containers_at_once() -> None:
    pod = running(ManualClock())
    pod.exited("app", 1)
    assert pod.terminate(30.0) == [Send("proxy", signal.SIGTERM)]


def test_the_spec_says_which_init_containers_stay_and_what_is_asked_of_them() -> None:
    side = {"name": "proxy", "restartPolicy": "Always", "startupProbe": {"tcpSocket": {"port": 1}}}
    pod: Object = {"metadata": {}, "spec": {"initContainers": [side, {"name": "i"}], "containers": [{"name": "app"}]}}
    found = {container.name: container for container in podspec.containers(pod)}
    assert [found[name].role for name in ("proxy", "i", "app")] == [Role.SIDE, Role.INIT, Role.APP]
    assert [probe.purpose for probe in found["proxy"].probes] == [Purpose.STARTUP]
