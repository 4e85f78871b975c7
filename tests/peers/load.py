"""Requests that go on while something changes, and what came of each."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from eventmesh.base.tasks import TaskGroup
from tests.waiting import WAIT_S

CALLERS = 4


class Load:
    """Requests for one host, one after the other on each of a few connections, and what came of them."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.names: set[str] = set()

    async def run(self, http: aiohttp.ClientSession, address: str, host_name: str, pause_s: float) -> None:
        while True:
            await asyncio.sleep(pause_s)
            try:
                async with http.get(f"http://{address}/", headers={"Host": host_name}) as response:
                    body = await response.read()
                    if response.status == 200:
                        self.names.add(json.loads(body)["name"])
                    self.outcomes[str(response.status)] += 1
            except aiohttp.ClientError as error:
                self.outcomes[type(error).__name__] += 1

    async def more(self, count: int) -> None:
        """Return when `count` more requests have been answered."""
        wanted = self.outcomes.total() + count
        async with asyncio.timeout(WAIT_S):
            while self.outcomes.total() < wanted:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def load(port: int, host_name: str, host: str = "127.0.0.1", *, pause_s: float = 0.0) -> AsyncIterator[Load]:
    """Keep requests going until the block ends; each caller rests for `pause_s` between two."""
    running, tasks = Load(), TaskGroup("test.load")
    async with aiohttp.ClientSession() as http:
        for number in range(CALLERS):
            tasks.spawn(f"caller-{number}", running.run(http, f"{host}:{port}", host_name, pause_s))
        try:
            yield running
        finally:
            await tasks.stop()
