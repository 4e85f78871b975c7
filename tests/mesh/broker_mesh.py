"""A broker as users meet it: a real `eventmesh activator`, a real control and API behind it, subscribers that listen.

The API and control live in the test's process; the activator does not, so that it can be killed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.api.server import ApiServer
from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.cluster.kubeconfig import write_kubeconfig
from eventmesh.controllers.eventing.admission import ADMISSIONS
from eventmesh.controllers.eventing.app import EventingControllers
from eventmesh.kube.api import Object
from eventmesh.kube.resources import BROKER, TRIGGER
from eventmesh.kube.status import is_ready
from eventmesh.xds.control.event_certificates import EventCertificates
from eventmesh.xds.control.services import Settings
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from tests.component.control_bench import Bench
from tests.component.planes import LOOPBACK, backend
from tests.component.processes import START_TIMEOUT_S, spawn
from tests.waiting import WAIT_S

SHOP = "shop"
HEADERS = {"ce-specversion": "1.0", "ce-source": "/tests", "ce-type": "order", "content-type": "application/json"}

ACTIVATOR_LISTENER = ("127.0.0.1", 0)
"""Any free port: these tests send events, not requests to functions."""

NOWHERE = "http://127.0.0.1:1/stats"
"""No autoscaler: nothing here sleeps at zero."""


def event_headers(event_id: str, **attributes: str) -> dict[str, str]:
    """Return the headers of an event in binary mode."""
    return {**HEADERS, "ce-id": event_id, **{f"ce-{name}": value for name, value in attributes.items()}}


class Activator:
    """A running `eventmesh activator`."""

    def __init__(self, process: asyncio.subprocess.Process, tasks: TaskGroup) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.broker = ""
        """`host:port` of the broker ingress."""
        self._silent = False
        self._spoke = asyncio.Event()
        self._log = tasks.spawn("log", self._read_log())

    async def heard(self, message: str, **fields: str) -> dict[str, Any]:
        """Return the first log line with that message and those fields, as soon as it is there."""
        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                for line in self.said(message):
                    if fields.items() <= line.items():
                        return line
                assert not self._silent, f"the activator ended without saying {message!r} {fields}: {self.lines}"
                self._spoke.clear()
                await self._spoke.wait()

    async def delivering(self, *triggers: str) -> None:
        """Return when each Trigger has its place in the store: it misses nothing that is accepted from then on."""
        for trigger in triggers:
            await self.heard("delivering", trigger=f"default/{trigger}")

    def said(self, message: str) -> list[dict[str, Any]]:
        """Return the log lines with that message."""
        return [line for line in self.lines if line.get("msg") == message]

    async def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        await self.ended()

    async def ended(self) -> int:
        """Return its exit code, once all it said has been read; for one that has been told to end."""
        async with asyncio.timeout(START_TIMEOUT_S):
            return await self.gone()

    async def gone(self) -> int:
        """As `ended`, however long it lives."""
        # Not `await self._log`: cancelling who waits here must not end the reading.
        await asyncio.wait((self._log,))
        return await self.process.wait()

    async def _read_log(self) -> None:
        assert self.process.stderr is not None
        # Read to the end, always: a full pipe would stop the process.
        while line := await self.process.stderr.readline():
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"msg": line.decode(errors="replace")})
            self._spoke.set()
        self._silent = True
        self._spoke.set()


class BrokerMesh:
    """One namespace with the broker `shop`."""

    def __init__(self, directory: Path, bench: Bench, kubeconfig: Path) -> None:
        self.bench = bench
        self.store = ""
        """Address of a store that the activators share; empty: each has its own."""
        self.data_dir = directory / "events"
        self._directory = directory
        self._kubeconfig = kubeconfig
        self._tasks = TaskGroup("activators")
        self._processes: list[asyncio.subprocess.Process] = []

    def command(self, data_dir: Path | None = None) -> Sequence[str]:
        """Return the words after `eventmesh` that start an activator of this mesh."""
        file = self._directory / "activator.json"
        file.write_text(json.dumps(bootstrap("activator", "activator-1", LOOPBACK, f"127.0.0.1:{self.bench.port}")))
        listening = ("--broker", LOOPBACK, "--broker-tls", LOOPBACK)
        flags = (*listening, "--data-dir", str(data_dir or self.data_dir), "--autoscaler", NOWHERE)
        shared = ("--store", self.store) if self.store else ()
        return ("activator", "--bootstrap", str(file), "--kubeconfig", str(self._kubeconfig), *flags, *shared)

    async def start_activator(self, data_dir: Path | None = None) -> Activator:
        """Start an activator and return when it takes events. It is ended with the mesh, if not before."""
        process = await spawn(*self.command(data_dir))
        self._processes.append(process)
        activator = Activator(process, self._tasks)
        activator.broker = (await activator.heard("serving"))["broker"]
        return activator

    async def trigger(
        self,
        name: str,
        subscriber: str,
        *,
        delivery: dict[str, Any] | None = None,
        broker: str = SHOP,
        annotations: dict[str, str] | None = None,
        **only: str,
    ) -> Object:
        """Create a Trigger for events whose attributes are those of `only`; return it Ready."""
        spec: dict[str, Any] = {"broker": broker, "subscriber": {"uri": subscriber}, "filter": {"attributes": only}}
        if delivery is not None:
            spec["delivery"] = delivery
        await self.bench.create(TRIGGER, name, spec, annotations=annotations)
        return await self.bench.until(TRIGGER, name, is_ready)

    async def stop(self) -> None:
        """End every activator that still runs."""
        for process in self._processes:
            if process.returncode is None:
                process.kill()
        # Who reads their logs ends first: what is left in the pipes is read out here.
        await self._tasks.stop()
        for process in self._processes:
            await process.communicate()


@asynccontextmanager
async def broker_mesh(directory: Path) -> AsyncIterator[BrokerMesh]:
    """Run API, controllers and control, with the broker `shop` Ready in the namespace `default`."""
    bench = Bench(directory, settings=Settings(activator=ACTIVATOR_LISTENER))
    authority = OwnAuthority(RootFiles(directory / "ca"), bench.clock)
    identities = Identities(authority, bench.clock, "cluster.local")
    certificates = EventCertificates(bench.api, bench.informers, identities, bench.clock, "localhost")
    eventing = EventingControllers(bench.api, bench.informers, bench.clock)
    for resource, admission in eventing.admissions(ADMISSIONS).items():
        bench.embedded.admission.register(resource, admission)
    await bench.start()
    server = ApiServer(bench.embedded, ("127.0.0.1", 0), directory / "tls")
    mesh = BrokerMesh(directory, bench, directory / "kubeconfig")
    try:
        await server.start()
        write_kubeconfig(directory / "kubeconfig", server.url, server.credentials.ca_pem, server.credentials.token)
        eventing.start()
        certificates.controller.start()
        await bench.create(BROKER, SHOP, {})
        await bench.until(BROKER, SHOP, is_ready)
        yield mesh
    finally:
        await mesh.stop()
        await certificates.controller.stop()
        await eventing.stop()
        await server.stop()
        await bench.stop()


Answering = Callable[["Received"], "web.Response | None"]


class Received:
    """One event as it reached a subscriber."""

    def __init__(self, request: web.Request, body: bytes) -> None:
        if request.content_type == "application/cloudevents+json":
            self.attributes = {name: str(value) for name, value in json.loads(body).items() if name != "data"}
        else:
            self.attributes = {
                name[3:].lower(): value for name, value in request.headers.items() if name.lower().startswith("ce-")
            }
        self.id = self.attributes["id"]
        self.headers = request.headers
        self.body = body


class Subscriber:
    """A real HTTP server that remembers what it got; `answer` decides, and 202 is the default."""

    def __init__(self, answer: Answering | None = None, *, slow_s: float = 0.0) -> None:
        self.answer = answer or (lambda event: None)
        self.got: list[Received] = []
        """What was answered 2xx."""
        self.refused = 0
        self.url = ""
        self.on_event: Callable[[], None] = lambda: None
        """Called before an event is answered."""
        self._slow_s = slow_s
        self._arrived = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Subscriber]:
        """Listen until the block ends."""
        async with backend(self._take) as address:
            self.url = f"http://{address}/"
            yield self

    async def _take(self, request: web.Request) -> web.StreamResponse:
        received = Received(request, await request.read())
        if self._slow_s:
            await asyncio.sleep(self._slow_s)
        self.on_event()
        response = self.answer(received) or web.Response(status=202)
        if response.status < 300:
            self.got.append(received)
        else:
            self.refused += 1
        self._arrived.set()
        return response

    def ids(self) -> set[str]:
        """Return the ids of all events that came."""
        return {event.id for event in self.got}

    async def until(self, holds: Callable[[], bool], seconds: float = WAIT_S) -> None:
        """Return when `holds`, looked at after each event."""
        async with asyncio.timeout(seconds):
            while not holds():
                self._arrived.clear()
                await self._arrived.wait()


async def send(
    session: aiohttp.ClientSession, broker: str, event_id: str, body: bytes = b"{}", **attributes: str
) -> int:
    """Send one event to the broker `shop` at `broker`; return the status of the answer."""
    url = f"http://{broker}/default/{SHOP}"
    async with session.post(url, data=body, headers=event_headers(event_id, **attributes)) as response:
        await response.read()
        return response.status
