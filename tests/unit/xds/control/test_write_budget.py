"""Large responses go in turn, and one that is not read gives way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from eventmesh.base.tasks import TaskGroup
from eventmesh.xds.control import write_budget
from eventmesh.xds.control.write_budget import FAIR_BYTES, SMALL_BYTES, STALL_S, SlowReaderError, WriteBudget
from tests.manual_clock import ManualClock

LARGE = SMALL_BYTES + 1


class Writer:
    """Writes one response, and is done when the test says so."""

    def __init__(self, budget: WriteBudget, size: int = LARGE) -> None:
        self.read = asyncio.Event()
        self.began = asyncio.Event()
        self._budget, self._size = budget, size

    async def write(self) -> None:
        async with self._budget.share(self._size):
            self.began.set()
            await self.read.wait()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_responses_beyond_the_limit_wait_and_go_in_the_order_they_came() -> None:
    budget, tasks = WriteBudget(ManualClock(), 2 * LARGE), TaskGroup("test")
    writers = [Writer(budget) for _ in range(4)]
    for number, writer in enumerate(writers):
        tasks.spawn(f"writer {number}", writer.write())
    await settled()
    assert [one.began.is_set() for one in writers] == [True, True, False, False]
    assert budget.under_way == 2 * LARGE
    writers[1].read.set()
    await settled()
    assert [one.began.is_set() for one in writers] == [True, True, True, False]
    for writer in writers:
        writer.read.set()
    await settled()
    assert writers[3].began.is_set() and budget.under_way == 0
    await tasks.stop()


async def test_small_responses_never_wait_and_one_too_large_for_the_limit_goes_alone() -> None:
    budget, tasks = WriteBudget(ManualClock(), LARGE), TaskGroup("test")
    huge, small, large = Writer(budget, 100 * LARGE), Writer(budget, SMALL_BYTES), Writer(budget)
    for number, writer in enumerate((huge, small, large)):
        tasks.spawn(f"writer {number}", writer.write())
    await settled()
    assert (huge.began.is_set(), small.began.is_set(), large.began.is_set()) == (True, True, False)
    await tasks.stop()


async def test_whoever_does_not_read_gives_way_once_another_waits_and_not_before() -> None:
    clock, tasks = ManualClock(), TaskGroup("test")
    budget = WriteBudget(clock, LARGE)
    slow, next_ = Writer(budget), Writer(budget)
    writing = tasks.spawn("slow", slow.write())
    await settled()
    await clock.advance(2 * STALL_S)
    await settled()
    assert not writing.done()
    tasks.spawn("next", next_.write())
    await next_.began.wait()
    with pytest.raises(SlowReaderError, match=f"{LARGE} bytes"):
        await writing
    assert budget.under_way == LARGE
    await tasks.stop()


async def test_whoever_reads_slowly_and_steadily_is_let_finish_and_a_trickle_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Who waits looks again by the loop's own clock.
    monkeypatch.setattr(write_budget, "STALL_S", 0.05)
    clock, tasks = ManualClock(), TaskGroup("test")
    budget = WriteBudget(clock, LARGE)
    told: list[Callable[[int], None]] = []

    async def write() -> None:
        async with budget.share(10 * FAIR_BYTES) as has_left:
            told.append(has_left)
            await asyncio.Event().wait()

    writing, next_ = tasks.spawn("slow", write()), Writer(budget)
    await settled()
    tasks.spawn("next", next_.write())
    for _ in range(3):
        await clock.advance(0.04)
        told[0](FAIR_BYTES)
        await settled()
    assert not writing.done()
    for _ in range(3):
        await clock.advance(0.04)
        told[0](1)
        await settled()
    with pytest.raises(SlowReaderError, match="too slowly"):
        await writing
    await next_.began.wait()
    await tasks.stop()


async def test_one_that_ends_while_the_oldest_is_still_giving_way_harms_nobody_who_waits() -> None:
    clock, tasks = ManualClock(), TaskGroup("test")
    budget = WriteBudget(clock, 2 * LARGE)
    gave_way = asyncio.Event()

    async def slow_to_end() -> None:
        async with budget.share(LARGE):
            try:
                await asyncio.Event().wait()
            finally:
                await gave_way.wait()

    slow = tasks.spawn("slow", slow_to_end())
    await settled()
    small, huge = Writer(budget), Writer(budget, 2 * LARGE)
    tasks.spawn("small", small.write())
    await settled()
    await clock.advance(2 * STALL_S)
    waiting = tasks.spawn("huge", huge.write())
    await settled()
    small.read.set()
    await settled()
    assert not waiting.done() and not huge.began.is_set()
    gave_way.set()
    await huge.began.wait()
    with pytest.raises(SlowReaderError):
        await slow
    await tasks.stop()


async def test_a_timeout_of_the_writing_itself_is_not_taken_for_a_slow_reader() -> None:
    budget = WriteBudget(ManualClock())
    with pytest.raises(TimeoutError, match="its own"):
        async with budget.share(LARGE):
            raise TimeoutError("its own")
    assert budget.under_way == 0
