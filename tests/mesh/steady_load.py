"""Load that goes on whatever dies: requests, events and writes, each repeated until it is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from eventmesh.base.errors import MeshError
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.resources import CONFIG_MAP
from tests.mesh.processes import MeshProcess

PAUSE_S = 0.02
"""Between two events, requests or writes of one client: some load, and processor time for who starts again."""

ANSWER_WITHIN_S = 10.0
LEDGER = "ledger"


class Load:
    """What was acknowledged to clients of a mesh, and what arrived."""

    def __init__(self, mesh: MeshProcess, broker: str) -> None:
        self.accepted: set[str] = set()
        """Ids of events that were answered 202."""
        self.arrived: set[str] = set()
        """Ids of events that came out at the far end."""
        self.written = 0
        """The last number whose write to the ConfigMap `ledger` was acknowledged."""
        self.answered = 0
        """Requests that the function has answered."""
        self._mesh = mesh
        self._broker = broker
        self._tasks = TaskGroup("load")
        self._stopping = False

    @asynccontextmanager
    async def sink(self) -> AsyncIterator[str]:
        """Listen for events at the far end, outside the mesh; yield the address."""

        async def take(request: web.Request) -> web.Response:
            self.arrived.add(request.headers["ce-id"])
            return web.Response(status=202)

        app = web.Application()
        app.router.add_post("/", take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
        finally:
            await runner.cleanup()

    def start(self) -> None:
        """Begin."""
        for work in (self._send, self._ask, self._write):
            self._tasks.spawn(work.__name__, work())

    async def finish(self) -> None:
        """Send nothing new, and return when the last of each kind has been acknowledged."""
        self._stopping = True
        while len(self._tasks):
            await asyncio.sleep(PAUSE_S)

    async def stop(self) -> None:
        """End at once."""
        await self._tasks.stop()

    async def acknowledged_again(self) -> None:
        """Return when an event, a request and a write that began after this call have been acknowledged."""
        before = (len(self.accepted), self.answered, self.written)
        # One of each may have been acknowledged already when this was called, and be counted a moment later.
        while not all(now > then + 1 for now, then in zip(self._counts(), before, strict=True)):
            await asyncio.sleep(PAUSE_S / 4)

    def _counts(self) -> tuple[int, int, int]:
        return len(self.accepted), self.answered, self.written

    async def _send(self) -> None:
        number = 0
        while not self._stopping:
            number += 1
            headers = {
                "Host": "broker-ingress.knative-eventing.localhost",
                "ce-specversion": "1.0",
                "ce-id": f"e{number}",
                "ce-source": "/load",
                "ce-type": "begun",
            }
            while await self._status("POST", f"/default/{self._broker}", headers) != 202:
                await asyncio.sleep(PAUSE_S)
            self.accepted.add(f"e{number}")
            await asyncio.sleep(PAUSE_S)

    async def _ask(self) -> None:
        while not self._stopping:
            if await self._status("GET", "/", {"Host": "relay.default.localhost"}) == 200:
                self.answered += 1
            await asyncio.sleep(PAUSE_S)

    async def _status(self, method: str, path: str, headers: dict[str, str]) -> int:
        """Return how a request through the gateway was answered, on a connection of its own; 0: not at all."""
        url = f"http://127.0.0.1:{self._mesh.gateway_port}{path}"
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        try:
            async with aiohttp.request(method, url, headers=headers, timeout=timeout) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0

    async def _write(self) -> None:
        number = 0
        while not self._stopping:
            try:
                async with self._mesh.api() as api:
                    while not self._stopping:
                        number = max(number, self.written + 1)
                        change = {"data": {"last": str(number)}}
                        async with asyncio.timeout(ANSWER_WITHIN_S):
                            await api.patch(CONFIG_MAP, LEDGER, change, "default")
                        self.written = number
                        await asyncio.sleep(PAUSE_S)
            except (MeshError, TimeoutError, OSError):
                await asyncio.sleep(PAUSE_S)
