"""Calls that are made without a pause while something changes, and may not fail."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from eventmesh.base.tasks import TaskGroup
from tests.component.processes import program
from tests.peers.tools import tool

AT_ONCE = 2_000
"""Requests of one h2load."""


class Calls:
    """A caller at work, and what it has done so far. `call` makes some calls and returns how many, or raises."""

    def __init__(self, call: Callable[[], Awaitable[int]]) -> None:
        self._call = call
        self._done = 0
        self._failures: list[BaseException] = []
        self._tasks = TaskGroup("test.calls", on_failure=self._failures.append)

    async def _run(self) -> None:
        while True:
            self._done += await self._call()

    def start(self) -> None:
        self._tasks.spawn("calls", self._run())

    async def more(self, count: int) -> None:
        """Return when `count` more calls have succeeded."""
        wanted = self._done + count
        while self._done < wanted:
            assert not self._failures, self._failures
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        await self._tasks.stop()
        assert not self._failures, self._failures


async def h2load(port: int, *flags: str) -> int:
    """Send a round of requests over eight connections; return how many have been answered 200: all of them."""
    words = (tool("h2load"), "-n", str(AT_ONCE), "-c", "8", *flags, f"http://127.0.0.1:{port}/")
    async with program(*words, stdout=asyncio.subprocess.PIPE) as process:
        output = (await process.communicate())[0].decode()
    found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored.*status codes: (\d+) 2xx", output, re.DOTALL)
    assert found is not None and found.groups() == (str(AT_ONCE), "0", "0", str(AT_ONCE)), output
    return AT_ONCE
