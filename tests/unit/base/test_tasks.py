"""Racing coroutines."""

from __future__ import annotations

import asyncio

import pytest

from eventmesh.base.tasks import first_of


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
