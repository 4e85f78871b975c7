"""When a change is published: at once after quiet, paced under load, endpoints always at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.publisher import MIN_PAUSE_S, Publisher
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.watcher import Watcher
from tests.manual_clock import ManualClock, settle


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.effects: list[Effect] = []
        self.cache = SnapshotCache()
        watcher = Watcher()
        self.publisher = Publisher(self.cache, ResourceBuilder(Settings()), watcher.of, watcher, self.clock)
        self.publisher.listen(lambda publication, effect: self.effects.append(effect))

    async def touch(self, *effects: Effect) -> list[Effect]:
        """Return what is published in the same moment."""
        self.effects.clear()
        for effect in effects:
            self.publisher.touch(effect)
        await settle()
        return list(self.effects)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    world.publisher.start()
    await world.clock.advance(1.0)
    yield world
    await world.publisher.stop()


async def test_start_publishes_everything_before_it_returns() -> None:
    world = World()
    world.publisher.start()
    assert world.effects == [Effect.EVERYTHING]
    await world.publisher.stop()


async def test_the_first_change_after_quiet_is_published_at_once(world: World) -> None:
    assert await world.touch(Effect.EVERYTHING) == [Effect.EVERYTHING]


async def test_a_burst_is_published_once(world: World) -> None:
    assert await world.touch(*[Effect.EVERYTHING] * 20) == [Effect.EVERYTHING]


async def test_a_second_full_change_waits_for_the_pause(world: World) -> None:
    await world.touch(Effect.EVERYTHING)
    assert Effect.EVERYTHING not in await world.touch(Effect.EVERYTHING)
    await world.clock.advance(MIN_PAUSE_S)
    assert Effect.EVERYTHING in world.effects


async def test_endpoints_do_not_wait_for_the_pause(world: World) -> None:
    await world.touch(Effect.EVERYTHING)
    assert await world.touch(Effect.ENDPOINTS) == [Effect.ENDPOINTS]
    assert await world.touch(Effect.ENDPOINTS) == [Effect.ENDPOINTS]


async def test_endpoints_go_ahead_of_a_full_change_that_waits(world: World) -> None:
    await world.touch(Effect.EVERYTHING)
    assert await world.touch(Effect.EVERYTHING, Effect.ENDPOINTS) == [Effect.ENDPOINTS]
    await world.clock.advance(MIN_PAUSE_S)
    assert world.effects[-1] is Effect.EVERYTHING


async def test_nothing_is_published_for_nothing(world: World) -> None:
    assert await world.touch(Effect.NOTHING) == []
