"""A worker as its supervisor hears it, over a real channel."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventmesh.base.tasks import TaskGroup
from eventmesh.dataplane.figures import NOTHING
from eventmesh.dataplane.worker_messages import Applied, Apply, AskFigures, decode, encode
from eventmesh.dataplane.worker_process import WorkerProcess
from eventmesh.model.snapshot import Snapshot
from eventmesh.transport.channel import Channel
from tests.waiting import WAIT_S

LARGE = Apply(Snapshot(version="v" * 10_000_000))
"""More than the kernel takes at once: what is asked next waits behind it."""


async def _nowhere(_address: str, connection: socket.socket) -> None:
    raise AssertionError(f"{connection} was given up by nobody")


@asynccontextmanager
async def _talking() -> AsyncIterator[tuple[WorkerProcess, Channel]]:
    """Give a worker as its supervisor sees it, and the worker's own end."""
    ours, theirs = socket.socketpair()
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    supervisor, worker = WorkerProcess(process, Channel(ours)), Channel(theirs)
    tasks = TaskGroup("test")
    tasks.spawn("listen", supervisor.listen(_nowhere))
    try:
        async with asyncio.timeout(WAIT_S):
            yield supervisor, worker
    finally:
        worker.close()
        await tasks.stop()


async def _given_up(supervisor: WorkerProcess) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await supervisor.ask(AskFigures())


async def test_a_question_given_up_before_it_was_asked_takes_no_other_ones_answer() -> None:
    async with _talking() as (supervisor, worker):
        applying = asyncio.gather(supervisor.ask(LARGE))
        await asyncio.sleep(0)
        await _given_up(supervisor)
        figures = asyncio.gather(supervisor.ask(AskFigures()))
        assert [type(decode((await worker.receive())[0])) for _ in range(2)] == [Apply, AskFigures]
        await worker.send(encode(Applied()))
        await worker.send(encode(NOTHING))
        assert [*await applying, *await figures] == [Applied(), NOTHING]


async def test_a_question_given_up_while_it_is_thought_about_is_answered_to_nobody() -> None:
    async with _talking() as (supervisor, worker):
        await _given_up(supervisor)
        applying = asyncio.gather(supervisor.ask(Apply(Snapshot(version=""))))
        assert [type(decode((await worker.receive())[0])) for _ in range(2)] == [AskFigures, Apply]
        await worker.send(encode(NOTHING))
        await worker.send(encode(Applied()))
        assert [*await applying] == [Applied()]
