"""When a function counts as ready."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from eventmesh.base.errors import ConfigError
from eventmesh.base.tasks import TaskGroup
from eventmesh.sidecar.readiness import (
    LONGEST_PAUSE_S,
    MAX_PROBE_BYTES,
    SHORTEST_PAUSE_S,
    Probe,
    ProbeKind,
    Prober,
    parse_probe,
    pause_after,
)
from tests.manual_clock import ManualClock


class Function:
    """Answers probes as told, and counts them."""

    def __init__(self) -> None:
        self.answers = False
        self.asked = 0

    async def attempt(self) -> bool:
        self.asked += 1
        return self.answers


class Scene:
    def __init__(self, probe: Probe, tasks: TaskGroup) -> None:
        self.clock = ManualClock()
        self.function = Function()
        self.told: list[bool] = []
        self.prober = Prober(probe, self.function.attempt, self.clock, self.told.append)
        tasks.spawn("prober", self.prober.run())


@pytest_asyncio.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    group = TaskGroup("test")
    yield group
    await group.stop()


async def test_readiness_is_told_a_few_per_cent_after_the_function_answers(tasks: TaskGroup) -> None:
    scene = Scene(Probe(), tasks)
    await scene.clock.advance(0.4)
    assert scene.told == []
    scene.function.answers = True
    await scene.clock.advance(0.02)
    assert scene.told == [True]
    assert scene.prober.is_ready


async def test_a_slow_starter_is_not_asked_more_than_twenty_times_a_second(tasks: TaskGroup) -> None:
    scene = Scene(Probe(), tasks)
    await scene.clock.advance(5)
    before = scene.function.asked
    await scene.clock.advance(1)
    assert scene.function.asked - before == pytest.approx(1 / LONGEST_PAUSE_S, abs=1)


async def test_a_prober_that_begins_again_knows_nothing_and_does_not_wait_for_a_period() -> None:
    clock, function, told = ManualClock(), Function(), list[bool]()
    prober = Prober(Probe(ProbeKind.HTTP, period_s=3600.0), function.attempt, clock, told.append)
    first, second = TaskGroup("first"), TaskGroup("second")
    function.answers = True
    first.spawn("prober", prober.run())
    await clock.advance(0.01)
    await first.stop()
    function.answers = False
    second.spawn("prober", prober.run())
    await clock.advance(0.4)
    assert not prober.is_ready
    function.answers = True
    await clock.advance(0.03)
    assert told == [True, True]
    await second.stop()


async def test_single_failures_of_a_ready_function_are_forgiven_up_to_the_threshold(tasks: TaskGroup) -> None:
    scene = Scene(Probe(failure_threshold=2), tasks)
    scene.function.answers = True
    await scene.clock.advance(0.01)
    scene.function.answers = False
    await scene.clock.advance(1)
    assert scene.prober.is_ready
    await scene.clock.advance(1)
    assert not scene.prober.is_ready
    assert scene.told == [True, False]


async def test_success_is_told_again_because_a_restarted_function_is_forgotten(tasks: TaskGroup) -> None:
    scene = Scene(Probe(), tasks)
    scene.function.answers = True
    await scene.clock.advance(2.5)
    assert scene.told == [True, True, True]


async def test_as_many_successes_in_a_row_as_asked_for_are_needed(tasks: TaskGroup) -> None:
    scene = Scene(Probe(success_threshold=3), tasks)
    scene.function.answers = True
    await scene.clock.advance(SHORTEST_PAUSE_S * 1.5)
    assert scene.told == []
    await scene.clock.advance(SHORTEST_PAUSE_S)
    assert scene.told == [True]


def test_pauses_grow_with_the_wait_and_stay_in_bounds() -> None:
    pauses = [pause_after(waited) for waited in (0, 0.01, 0.1, 0.5, 10)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (SHORTEST_PAUSE_S, LONGEST_PAUSE_S)


@pytest.mark.parametrize(
    ("text", "probe"),
    [
        ("", Probe()),
        ('{"tcpSocket":{"port":8080,"host":"127.0.0.1"},"successThreshold":1}', Probe(port=8080)),
        (
            '{"httpGet":{"path":"/h","port":9,"scheme":"HTTP","httpHeaders":[{"name":"X-A","value":"b"}]},"periodSeconds":2}',
            Probe(ProbeKind.HTTP, 9, "/h", (("x-a", "b"),), period_s=2),
        ),
        ('{"httpGet":{"port":"http"}}', Probe(ProbeKind.HTTP)),
        ('{"httpGet":{"port":9,"scheme":"HTTPS"}}', Probe(ProbeKind.TCP, 9)),
        ('{"grpc":{"port":9},"timeoutSeconds":3}', Probe(ProbeKind.TCP, 9, timeout_s=3)),
        ('[{"tcpSocket":{"port":7}},{"tcpSocket":{"port":8}}]', Probe(port=7)),
        ('{"exec":{"command":["true"]}}', Probe()),
        ('{"tcpSocket":{},"periodSeconds":0}', Probe()),
    ],
)
def test_knatives_probe_is_read(text: str, probe: Probe) -> None:
    parsed = parse_probe(text, "P")
    assert parsed.kind is probe.kind
    assert (parsed.port, parsed.headers, parsed.timeout_s, parsed.period_s) == (
        probe.port,
        probe.headers,
        probe.timeout_s,
        probe.period_s,
    )


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("3", "P"),
        ('{"httpGet": [1]}', "P"),
        ('{"httpGet": 3}', "P"),
        ('{"httpGet":{"httpHeaders":[3]}}', "P.httpGet.httpHeaders"),
        ('{"periodSeconds":-1}', "P.periodSeconds"),
        ('{"periodSeconds":"10s"}', "P.periodSeconds"),
        (" " * (MAX_PROBE_BYTES + 1), "P"),
    ],
)
def test_a_broken_probe_is_refused_by_field(text: str, path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_probe(text, "P")
    assert refused.value.path == path


async def test_probing_ends_when_cancelled(tasks: TaskGroup) -> None:
    scene = Scene(Probe(), tasks)
    await scene.clock.advance(0.1)
    await tasks.stop()
    asked = scene.function.asked
    await scene.clock.advance(1)
    assert scene.function.asked == asked
    assert asyncio.all_tasks() == {asyncio.current_task()}
