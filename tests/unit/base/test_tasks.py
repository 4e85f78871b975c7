"""Racing coroutines, and waits that a stop ends."""

from __future__ import annotations

import asyncio

import pytest

from eventmesh.base.tasks import TaskGroup, first_of, is_set_within
from tests.waiting import WAIT_S


async def test_the_first_to_end_ends_the_others() -> None:
    cancelled = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    await first_of(endless(), asyncio.sleep(0), endless())
    assert cancelled == [True, True]


async def test_what_the_first_raises_is_raised() -> None:
    async def failing() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await first_of(asyncio.Event().wait(), failing())


async def test_being_cancelled_cancels_all() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    race = asyncio.get_running_loop().create_task(first_of(endless()))
    await started.wait()
    race.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race
    assert ended.is_set()


async def test_a_wait_tells_whether_it_was_in_vain() -> None:
    event = asyncio.Event()
    assert not await is_set_within(event, 0.001)
    event.set()
    assert await is_set_within(event, 0.0)
    assert await is_set_within(event, None)


async def test_a_wait_that_is_over_in_the_moment_of_a_stop_is_stopped_all_the_same() -> None:
    event, group, turns = asyncio.Event(), TaskGroup("waits"), []

    async def endless() -> None:
        while True:
            turns.append(await is_set_within(event, 60.0))
            event.clear()

    group.spawn("endless", endless())
    await asyncio.sleep(0)
    event.set()
    async with asyncio.timeout(WAIT_S):
        await group.stop()
    assert turns == [], "it went on as if nobody had stopped it"
