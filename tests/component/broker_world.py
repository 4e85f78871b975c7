"""An activator in the test's own process, with a real control and API; subscribers that listen."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from eventmesh.activator.app import Activator, ActivatorSettings
from eventmesh.activator.broker.ingress import MAX_EVENT_BYTES
from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.dataplane.process import Termination
from eventmesh.xds.bootstrap import parse_bootstrap
from tests.component.planes import LOOPBACK
from tests.mesh.broker_mesh import NOWHERE, SHOP, Answering, BrokerMesh, Subscriber, broker_mesh, event_headers
from tests.waiting import WAIT_S


class LogWatch(logging.Handler):
    """What the broker logs, to be waited for."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[tuple[str, dict[str, object]]] = []
        self._spoke = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.getMessage(), dict(getattr(record, "fields", {}))))
        self._spoke.set()

    async def heard(self, message: str, count: int = 1, **fields: object) -> dict[str, object]:
        """Return the fields of the `count`-th line with that message and those fields."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = [had for said, had in self.lines if said == message and fields.items() <= had.items()]
                if len(found) >= count:
                    return found[count - 1]
                self._spoke.clear()
                await self._spoke.wait()


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]


class World:
    """The parts together; made by `world_in`."""

    def __init__(
        self,
        mesh: BrokerMesh,
        addresses: Callable[[], Mapping[str, str]],
        session: aiohttp.ClientSession,
        log: LogWatch,
        stack: AsyncExitStack,
    ) -> None:
        self.mesh = mesh
        self.log = log
        self.addresses = addresses
        """Where each listener of the activator listens now."""
        self.broker = addresses()["broker"]
        """`host:port` of the ingress."""
        self.admin = addresses()["admin"]
        """`host:port` of the admin pages."""
        self._session = session
        self._stack = stack
        self._made: dict[str, int] = {}

    async def subscriber(self, answer: Answering | None = None, *, slow_s: float = 0.0) -> Subscriber:
        """Return a subscriber that listens until the test ends."""
        return await self._stack.enter_async_context(Subscriber(answer, slow_s=slow_s).listening())

    async def trigger(
        self,
        name: str,
        subscriber: Subscriber,
        delivery: dict[str, Any] | None = None,
        annotations: dict[str, str] | None = None,
        **only: str,
    ) -> None:
        """Make a Trigger that misses nothing from now on."""
        self._made[name] = self._made.get(name, 0) + 1
        await self.mesh.trigger(name, subscriber.url, delivery=delivery, annotations=annotations, **only)
        await self.log.heard("delivering", self._made[name], trigger=f"default/{name}")

    async def ask(
        self,
        path: str = f"/default/{SHOP}",
        method: str = "POST",
        body: Any = b"{}",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request to the broker ingress."""
        async with self._session.request(method, f"http://{self.broker}{path}", data=body, headers=headers) as response:
            return Answer(response.status, await response.text(), response.headers)

    async def ask_admin(self, path: str) -> Answer:
        """Send a GET to the admin port."""
        async with self._session.get(f"http://{self.admin}{path}") as response:
            return Answer(response.status, await response.text(), response.headers)

    async def send(self, event_id: str, body: bytes = b"{}", **attributes: str) -> None:
        """Send an event that is accepted."""
        answer = await self.ask(body=body, headers=event_headers(event_id, **attributes))
        assert answer.status == 202, answer.text


@asynccontextmanager
async def world_in(directory: Path, max_event_bytes: int = MAX_EVENT_BYTES) -> AsyncIterator[World]:
    """Run the whole until the block ends."""
    log = LogWatch()
    logger = logging.getLogger("eventmesh.activator")  # noqa: TID251  # to listen, not to log
    level = logger.level
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    try:
        async with AsyncExitStack() as stack:
            mesh = await stack.enter_async_context(broker_mesh(directory))
            document = json.dumps(bootstrap("activator", "activator-1", LOOPBACK, f"127.0.0.1:{mesh.bench.port}"))
            settings = ActivatorSettings(
                NOWHERE,
                LOOPBACK,
                mesh.data_dir,
                None,
                1.0,
                max_event_bytes=max_event_bytes,
                broker_tls_address=LOOPBACK,
            )
            activator = Activator(parse_bootstrap(document), settings, mesh.bench.api, mesh.bench.clock, Termination())
            stack.push_async_callback(activator.stop)
            await activator.start()
            session = await stack.enter_async_context(aiohttp.ClientSession())
            yield World(mesh, activator.addresses, session, log, stack)
    finally:
        logger.removeHandler(log)
        logger.setLevel(level)
