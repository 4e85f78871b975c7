"""Leases of dead replicas are taken away by whoever leads, whenever they died and whatever the API does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.kube.resources import LEASE
from eventmesh.xds.control.replicas.others import OtherReplicas
from eventmesh.xds.control.replicas.own import LABELS, RELEASE_S
from eventmesh.xds.control.replicas.versions import Versions
from eventmesh.xds.control.replicas.word import ANNOTATION, Word
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock
from tests.unit.kube.faulty_api import Line
from tests.unit.xds.control.replicas.test_own import LASTS_S, SYSTEM

NEEDS: Versions = {"services": 1}


class World:
    def __init__(self, api: EmbeddedApi, clock: ManualClock) -> None:
        self.clock = clock
        self.line = Line(api.in_process())
        self.is_leading = False
        self.others = OtherReplicas(self.line, clock, "own", LASTS_S, lambda: self.is_leading, lambda refused: None)
        self.tasks = TaskGroup("test")
        self.tasks.spawn("others", self.others.run())

    async def announce(self, name: str, word: str = Word(1).to_json()) -> None:
        """Write the Lease of a replica that has a gateway, which will say no more."""
        metadata: Any = {"name": name, "namespace": SYSTEM, "labels": LABELS}
        metadata["annotations"] = {ANNOTATION: word}
        spec = {"holderIdentity": name, "leaseDurationSeconds": LASTS_S}
        await self.line.create(LEASE, {"metadata": metadata, "spec": spec}, SYSTEM)

    async def leases(self) -> list[str]:
        return [lease["metadata"]["name"] for lease in (await self.line.list(LEASE, SYSTEM)).items]


@pytest_asyncio.fixture
async def world(tmp_path: Any) -> AsyncIterator[World]:
    clock = ManualClock()
    async with embedded(tmp_path, clock) as api:
        world = World(api, clock)
        await clock.advance(1)
        yield world
        await world.tasks.stop()


async def test_a_lease_that_ran_out_before_anybody_led_is_taken_away_by_who_leads_next(world: World) -> None:
    await world.announce("leader")
    await world.clock.advance(2 * LASTS_S)
    assert world.others.waiting(NEEDS) == [] and await world.leases() == ["leader"]
    world.is_leading = True
    await world.clock.advance(LASTS_S)
    assert await world.leases() == []


async def test_a_lease_that_could_not_be_taken_away_is_tried_again(world: World) -> None:
    world.is_leading = True
    await world.announce("dead")
    world.line.cut = True
    await world.clock.advance(LASTS_S + 1)
    assert await world.leases() == ["dead"]
    world.line.cut = False
    await world.clock.advance(LASTS_S + 1)
    assert await world.leases() == []


async def test_a_death_is_noticed_while_the_api_hangs(world: World) -> None:
    world.is_leading = True
    await world.announce("one")
    await world.clock.advance(RELEASE_S)
    await world.announce("two")
    world.line.silent = True
    await world.clock.advance(LASTS_S + RELEASE_S)
    assert world.others.waiting(NEEDS) == []


async def test_a_word_that_is_not_understood_is_told_of_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.announce("another", "of another version")
    await world.clock.advance(0.1)
    for number in range(3):
        lease = await world.line.get(LEASE, "another", SYSTEM)
        await world.line.replace(LEASE, {**lease, "spec": {**lease["spec"], "leaseTransitions": number}})
        await world.clock.advance(0.1)
    assert world.others.waiting(NEEDS) == ["data planes of another"]
    assert sum("is not understood" in record.message for record in caplog.records) == 1
