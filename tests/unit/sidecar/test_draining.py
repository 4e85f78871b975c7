"""How a pod finds out that nobody calls it any more, in virtual time."""

from collections.abc import AsyncIterator

import pytest_asyncio

from eventmesh.base.tasks import TaskGroup
from eventmesh.core.actions import LoadRow
from eventmesh.sidecar.draining import LONGEST_WAIT_S, PodDrain
from eventmesh.sidecar.load import LoadMeter
from tests.manual_clock import ManualClock, settle

QUIET_S = 2.0


class Scene:
    def __init__(self, tasks: TaskGroup) -> None:
        self.clock = ManualClock()
        self.begun = 0
        self.in_flight = 0
        self.is_busy = False
        meter = LoadMeter(self._take_load, "user", self.clock)
        self.drain = PodDrain(meter, lambda: self.in_flight, self.clock, QUIET_S)
        self.task = tasks.spawn("drain", self.drain.wait_for_quiet())

    def _take_load(self, now: float) -> list[LoadRow]:
        begun, self.begun = (1 if self.is_busy else self.begun), 0
        return [("user", 0.0, begun, 0.0, 0)]


@pytest_asyncio.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    group = TaskGroup("test")
    yield group
    await group.stop()


async def test_a_quiet_pod_is_drained_after_the_quiet_time(tasks: TaskGroup) -> None:
    scene = Scene(tasks)
    await scene.clock.advance(QUIET_S - 0.1)
    assert scene.drain.has_begun and not scene.task.done()
    await scene.clock.advance(0.2)
    assert scene.task.done()


async def test_each_new_request_begins_the_wait_anew(tasks: TaskGroup) -> None:
    scene = Scene(tasks)
    await scene.clock.advance(QUIET_S - 0.5)
    scene.begun = 1
    await scene.clock.advance(QUIET_S - 0.5)
    assert not scene.task.done()
    await scene.clock.advance(1)
    assert scene.task.done()


async def test_a_request_in_flight_is_waited_for(tasks: TaskGroup) -> None:
    scene = Scene(tasks)
    scene.in_flight = 1
    await scene.clock.advance(QUIET_S * 3)
    assert not scene.task.done()
    scene.in_flight = 0
    await scene.clock.advance(QUIET_S + 0.1)
    assert scene.task.done()


async def test_a_client_that_never_stops_calling_is_not_waited_for_for_ever(tasks: TaskGroup) -> None:
    scene = Scene(tasks)
    scene.is_busy = True
    await scene.clock.advance(LONGEST_WAIT_S - 1)
    assert not scene.task.done()
    await scene.clock.advance(1.1)
    assert scene.task.done()


async def test_whoever_asks_later_waits_for_the_same_drain(tasks: TaskGroup) -> None:
    scene = Scene(tasks)
    await scene.clock.advance(QUIET_S / 2)
    second = tasks.spawn("second", scene.drain.wait_for_quiet())
    await scene.clock.advance(QUIET_S / 2 + 0.1)
    await settle()
    assert scene.task.done() and second.done()
