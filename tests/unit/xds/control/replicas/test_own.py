"""A replica's Lease is kept whatever the API does: refuses, hangs, forgets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.kube.resources import LEASE
from eventmesh.xds.control.replicas.own import MIN_PAUSE_S, RELEASE_S, RETRY_S, News, OwnWord
from eventmesh.xds.control.replicas.word import ANNOTATION, Word
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock
from tests.unit.kube.faulty_api import Line

SYSTEM = "eventmesh-system"
LASTS_S = 15


class World:
    def __init__(self, api: EmbeddedApi, clock: ManualClock) -> None:
        self.clock = clock
        self.line = Line(api.in_process())
        self.clients = 0
        self.own = OwnWord(self.line, clock, "one", LASTS_S, lambda: News(Word(self.clients)), lambda: True)
        self.tasks = TaskGroup("test")
        self.tasks.spawn("own", self.own.run())

    async def told(self) -> list[int]:
        """Return what the Lease says, if there is one."""
        found = await self.line.list(LEASE, SYSTEM)
        return [Word.from_json(lease["metadata"]["annotations"][ANNOTATION]).clients for lease in found.items]

    async def say(self, clients: int) -> None:
        self.clients = clients
        self.own.look_again()
        await self.clock.advance(MIN_PAUSE_S)


@pytest_asyncio.fixture
async def world(tmp_path: Any) -> AsyncIterator[World]:
    clock = ManualClock()
    async with embedded(tmp_path, clock) as api:
        world = World(api, clock)
        await clock.advance(1)
        yield world
        world.line.silent = False
        await world.tasks.stop()


@pytest.mark.parametrize("fault", ["cut", "silent"])
async def test_what_the_api_did_not_take_is_told_again(
    world: World, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    setattr(world.line, fault, True)
    await world.say(7)
    await world.clock.advance(2 * RETRY_S + MIN_PAUSE_S)
    assert await world.told() == [0]
    setattr(world.line, fault, False)
    await world.clock.advance(2 * RETRY_S)
    assert await world.told() == [7]
    assert sum("other replicas do not hear" in record.message for record in caplog.records) == 1


async def test_a_lease_that_somebody_else_has_written_is_written_over(world: World) -> None:
    lease = (await world.line.list(LEASE, SYSTEM)).items[0]
    await world.line.replace(LEASE, {**lease, "spec": {"holderIdentity": "an intruder"}})
    await world.say(3)
    await world.clock.advance(2 * RETRY_S)
    assert await world.told() == [3]


async def test_one_that_ends_takes_its_lease_away_and_waits_for_no_api_that_hangs(world: World) -> None:
    world.line.silent = True
    ended = TaskGroup("end").spawn("stop", world.tasks.stop())
    await world.clock.advance(RELEASE_S)
    assert ended.done()
    assert await world.told() == [0]
