"""Probes in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.cluster.runtime.container import Container, RestartPolicy
from eventmesh.cluster.runtime.orders import Ask, Order, Send, Start, Tell
from eventmesh.cluster.runtime.pod import PodMachine
from eventmesh.cluster.runtime.probe import (
    Exec,
    GrpcHealth,
    HttpGet,
    Outcome,
    Probe,
    Purpose,
    TcpSocket,
    parse_probe,
)
from tests.manual_clock import ManualClock

TCP = TcpSocket(8080)
WELL, ILL = Outcome(True), Outcome(False, "connection refused")


def probe(purpose: Purpose, **values: Any) -> Probe:
    return Probe(purpose, TCP, **values)


class Pod:
    """One container whose probes answer what the test says, driven through virtual time."""

    def __init__(self, *probes: Probe, restart: RestartPolicy = RestartPolicy.ALWAYS) -> None:
        self.clock = ManualClock()
        self.machine = PodMachine([Container("app", probes=probes)], restart, self.clock, grace_s=30.0)
        self.container = self.machine.containers["app"]
        self.answers = dict.fromkeys(Purpose, WELL)
        self.asked: list[tuple[float, Purpose]] = []
        self.orders: list[Order] = []
        self._carry_out(self.machine.start())

    def _carry_out(self, orders: list[Order]) -> None:
        for order in orders:
            match order:
                case Start(name):
                    self._carry_out(self.machine.started(name))
                case Ask(name, asked, run):
                    self.asked.append((self.clock.monotonic(), asked.purpose))
                    self._carry_out(self.machine.probed(name, asked.purpose, run, self.answers[asked.purpose]))
                case _:
                    self.orders.append(order)

    async def until(self, moment: float) -> None:
        """Let time pass up to `moment`, waking the machine whenever it wants to be."""
        while (at := self.machine.wake_at) is not None and at <= moment:
            await self.clock.advance(at - self.clock.monotonic())
            self._carry_out(self.machine.tick())
        await self.clock.advance(moment - self.clock.monotonic())

    def exits(self, status: int) -> None:
        self._carry_out(self.machine.exited("app", status))

    def times(self, purpose: Purpose) -> list[float]:
        return [at for at, asked in self.asked if asked is purpose]

    def reasons(self) -> list[str]:
        return [order.reason for order in self.orders if isinstance(order, Tell)]


async def test_a_liveness_probe_is_asked_after_its_delay_and_then_every_period() -> None:
    pod = Pod(probe(Purpose.LIVENESS, initial_delay_s=5.0, period_s=10.0))
    await pod.until(36.0)
    assert pod.times(Purpose.LIVENESS) == [5.0, 15.0, 25.0, 35.0]
    assert pod.machine.ready


async def test_a_container_is_ended_when_liveness_has_failed_as_often_as_allowed() -> None:
    pod = Pod(probe(Purpose.LIVENESS, period_s=10.0, failure_threshold=3))
    await pod.until(1.0)
    pod.answers[Purpose.LIVENESS] = ILL
    await pod.until(29.0)
    assert pod.reasons() == ["Unhealthy", "Unhealthy"]
    await pod.until(30.0)
    assert pod.orders[2:] == [
        Tell("Unhealthy", "Liveness probe failed: connection refused"),
        Tell("Killing", "Container app failed liveness probe, will be restarted", warning=False),
        Send("app", 15),
    ]
    pod.exits(-15)
    assert pod.container.running
    assert pod.container.restarts == 1
    assert pod.container.last is not None
    assert pod.container.last.code == 143


async def test_one_good_answer_between_failures_saves_the_container() -> None:
    pod = Pod(probe(Purpose.LIVENESS, period_s=1.0, failure_threshold=2))
    await pod.until(0.0)
    for moment in range(1, 20):
        pod.answers[Purpose.LIVENESS] = ILL if moment % 2 else WELL
        await pod.until(float(moment))
    assert not any(isinstance(order, Send) for order in pod.orders)


async def test_a_container_that_does_not_end_is_killed_after_the_grace_of_its_pod_or_probe() -> None:
    for grace_s, expected in ((None, 30.0), (2.0, 2.0)):
        pod = Pod(probe(Purpose.LIVENESS, failure_threshold=1, grace_s=grace_s))
        pod.answers[Purpose.LIVENESS] = ILL
        await pod.until(expected - 0.1)
        assert [order for order in pod.orders if isinstance(order, Send)] == [Send("app", 15)]
        await pod.until(expected)
        assert pod.orders[-1] == Send("app", 9)
        asked = len(pod.asked)
        await pod.until(expected + 0.9)
        assert len(pod.asked) == asked


@pytest.mark.parametrize("status", [-15, -9])
async def test_a_container_that_fails_its_liveness_again_and_again_is_restarted_with_back_off(status: int) -> None:
    pod = Pod(probe(Purpose.LIVENESS, period_s=1.0, failure_threshold=1))
    pod.answers[Purpose.LIVENESS] = ILL
    waits = []
    for _ in range(4):
        while not any(isinstance(order, Send) for order in pod.orders):
            await pod.until(pod.clock.monotonic() + 0.5)
        pod.orders.clear()
        pod.exits(status)
        waits.append(0.0 if pod.container.retry_at is None else pod.container.retry_at - pod.clock.monotonic())
        while not pod.container.running:
            await pod.until(pod.clock.monotonic() + 1.0)
    assert waits == [0.0, 10.0, 20.0, 40.0]


async def test_nothing_else_is_asked_before_the_startup_probe_has_passed() -> None:
    pod = Pod(
        probe(Purpose.STARTUP, period_s=5.0, failure_threshold=10),
        probe(Purpose.LIVENESS, period_s=5.0),
        probe(Purpose.READINESS, period_s=5.0),
    )
    pod.answers[Purpose.STARTUP] = ILL
    await pod.until(21.0)
    assert {purpose for _, purpose in pod.asked} == {Purpose.STARTUP}
    assert not pod.machine.is_started(pod.container)
    pod.answers[Purpose.STARTUP] = WELL
    await pod.until(26.0)
    assert pod.machine.is_started(pod.container)
    assert pod.machine.ready
    count = len(pod.times(Purpose.STARTUP))
    await pod.until(100.0)
    assert len(pod.times(Purpose.STARTUP)) == count


async def test_a_container_that_never_starts_has_its_periods_and_not_one_failure_less() -> None:
    pod = Pod(probe(Purpose.STARTUP, period_s=10.0, failure_threshold=3))
    pod.answers[Purpose.STARTUP] = ILL
    await pod.until(19.9)
    assert pod.reasons() == ["Unhealthy", "Unhealthy"]
    await pod.until(20.0)
    assert pod.reasons() == ["Unhealthy", "Unhealthy", "Unhealthy", "Killing"]


async def test_the_first_success_is_seen_soon_after_it_came_however_long_the_period() -> None:
    pod = Pod(probe(Purpose.READINESS, period_s=60.0))
    pod.answers[Purpose.READINESS] = ILL
    await pod.until(2.0)
    pod.answers[Purpose.READINESS] = WELL
    await pod.until(2.3)
    assert pod.machine.ready
    assert pod.reasons() == ["Unhealthy"]


async def test_readiness_is_lost_and_won_by_its_thresholds_and_ends_nothing() -> None:
    pod = Pod(probe(Purpose.READINESS, period_s=10.0, failure_threshold=2, success_threshold=2))
    await pod.until(9.0)
    assert not pod.machine.ready
    await pod.until(10.0)
    assert pod.machine.ready
    pod.answers[Purpose.READINESS] = ILL
    await pod.until(29.0)
    assert pod.machine.ready
    await pod.until(30.0)
    assert not pod.machine.ready
    assert not any(isinstance(order, Send) for order in pod.orders)


async def test_an_answer_of_an_earlier_process_is_forgotten() -> None:
    pod = Pod(probe(Purpose.LIVENESS, failure_threshold=1))
    run = pod.container.run
    pod.exits(1)
    assert pod.machine.probed("app", Purpose.LIVENESS, run, ILL) == []


async def test_a_container_killed_by_its_probe_is_not_started_again_when_it_never_restarts() -> None:
    pod = Pod(probe(Purpose.LIVENESS, failure_threshold=1), restart=RestartPolicy.NEVER)
    pod.answers[Purpose.LIVENESS] = ILL
    await pod.until(0.0)
    pod.exits(-15)
    assert pod.machine.finished
    assert not pod.container.running


@pytest.mark.parametrize(
    ("spec", "action"),
    [
        ({"httpGet": {"path": "healthz", "port": 81}}, HttpGet(81, "/healthz")),
        ({"httpGet": {"scheme": "HTTPS", "host": "h"}}, HttpGet(8080, "/", "h", (), True)),
        ({"httpGet": {"httpHeaders": [{"name": "A", "value": "b"}]}}, HttpGet(8080, headers=(("A", "b"),))),
        ({"tcpSocket": {"port": "web"}}, TcpSocket(9000)),
        ({"grpc": {"port": 50051, "service": "shop"}}, GrpcHealth(50051, "shop")),
        ({"exec": {"command": ["cat", "/tmp/alive"]}}, Exec(("cat", "/tmp/alive"))),
    ],
    ids=["path", "https", "headers", "named", "grpc", "exec"],
)
def test_every_kind_of_action_is_read(spec: dict[str, Any], action: object) -> None:
    container = {"name": "app", "ports": [{"name": "web", "containerPort": 9000}], "livenessProbe": spec}
    found = parse_probe(container, Purpose.LIVENESS, 8080)
    assert found is not None
    assert found.action == action


def test_left_out_numbers_are_those_of_kubernetes() -> None:
    found = parse_probe({"startupProbe": {"tcpSocket": {"port": 1}}}, Purpose.STARTUP, 8080)
    assert found == Probe(Purpose.STARTUP, TcpSocket(1))
    assert (found.period_s, found.timeout_s, found.failure_threshold) == (10.0, 1.0, 3)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"periodSeconds": 3}, "livenessProbe: must have one action"),
        ({"exec": {"command": ["x"]}, "tcpSocket": {"port": 1}}, "it has tcpSocket, exec"),
        ({"tcpSocket": {"port": "web"}}, "livenessProbe.tcpSocket.port: the container names no port 'web'"),
        ({"grpc": {"port": 1, "service": "s" * 128}}, "grpc.service: is longer than 127 bytes"),
    ],
    ids=["none", "two", "unnamed", "long"],
)
def test_a_probe_that_cannot_be_asked_is_refused_by_field(spec: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_probe({"livenessProbe": spec}, Purpose.LIVENESS, 8080)
    assert named in str(refusal.value)
