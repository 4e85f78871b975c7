from __future__ import annotations

import asyncio

import pytest

from eventmesh.kube.queue import QueueClosed, WorkQueue
from tests.manual_clock import ManualClock, settle


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> WorkQueue[str]:
    return WorkQueue("test", clock, first_retry_s=1.0, retry_cap_s=8.0)


async def test_a_key_added_twice_is_taken_once(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.take(), await queue.take()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_worked_on_is_worked_on_once_more_afterwards(queue: WorkQueue[str]) -> None:
    queue.add("a")
    key = await queue.take()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0, "no second worker may get it meanwhile"
    queue.done(key)
    assert await queue.take() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_a_waiting_worker_gets_the_key_at_once(queue: WorkQueue[str]) -> None:
    taking = asyncio.get_running_loop().create_task(queue.take())
    await settle()
    queue.add("a")
    assert await taking == "a"


async def test_a_cancelled_worker_passes_its_wake_up_on(queue: WorkQueue[str]) -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_task(queue.take()), loop.create_task(queue.take())
    await settle()
    queue.add("a")
    first.cancel()
    await settle()
    assert second.done() and second.result() == "a"


async def test_of_several_delays_the_earliest_counts(queue: WorkQueue[str], clock: ManualClock) -> None:
    queue.add_after("a", 5)
    queue.add_after("a", 2)
    queue.add_after("a", 9)
    await clock.advance(1.9)
    assert len(queue) == 0
    await clock.advance(0.1)
    assert await queue.take() == "a"
    queue.done("a")
    await clock.advance(60)
    assert len(queue) == 0


async def test_retries_double_up_to_the_cap_until_forgotten(queue: WorkQueue[str], clock: ManualClock) -> None:
    waits = []
    for _ in range(5):
        waits.append(queue.add_rate_limited("a"))
        await clock.advance(waits[-1])
        queue.done(await queue.take())
    assert waits == [1, 2, 4, 8, 8]
    queue.forget("a")
    assert queue.add_rate_limited("a") == 1


async def test_closing_ends_every_waiting_worker(queue: WorkQueue[str]) -> None:
    queue.add_after("late", 5)
    workers = [asyncio.get_running_loop().create_task(queue.take()) for _ in range(2)]
    await settle()
    await queue.close()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(result, QueueClosed) for result in results)
