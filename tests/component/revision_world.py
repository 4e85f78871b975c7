"""A revision behind a real activator: real control and API, pods that are sidecar processes, functions in the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from eventmesh.activator.app import Activator, ActivatorSettings
from eventmesh.activator.shares import SERVICE
from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.dataplane.process import Termination
from eventmesh.kube.knative import SERVING_NAMESPACE
from eventmesh.kube.resources import ENDPOINT_SLICE
from eventmesh.xds.bootstrap import parse_bootstrap
from eventmesh.xds.control.services import Settings
from tests.component.control_bench import Bench
from tests.component.planes import LOOPBACK, Reply, ask
from tests.component.test_sidecar_contract import function_with_sidecar
from tests.mesh.broker_mesh import NOWHERE
from tests.waiting import WAIT_S

REVISION = "rev"
CLUSTER = f"default/{REVISION}"


class Watched:
    """Something that changes, to be waited for."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def change(self) -> None:
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when `holds`, looked at after each change."""
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


class Pod:
    """A function with its sidecar. It answers at once while `gate` is set, else when that is done."""

    def __init__(self, world: Watched) -> None:
        self._world = world
        self.address = ""
        self.gate = asyncio.Event()
        self.got: list[str] = []
        """Paths, in the order they came."""
        self.at_once = self.most = 0

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.got.append(request.path)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self._world.change()
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
            self._world.change()
        return web.Response(text=self.address)


class RevisionWorld(Watched):
    """One revision, its pods in the order of their addresses, and an activator in front."""

    def __init__(self, directory: Path, concurrency: int, stack: AsyncExitStack) -> None:
        super().__init__()
        self.concurrency = concurrency
        self.pods: list[Pod] = []
        self.bench = Bench(directory / "api", settings=Settings(activator=("127.0.0.1", 0)))
        self._directory = directory
        self._stack = stack
        self._activators: list[Activator] = []
        self._clients: list[asyncio.Task[Reply]] = []

    async def start(self, pods: int, activators: Sequence[str]) -> None:
        """Serve with so many pods, behind activators whose pods have these addresses; empty: that nobody tells of."""
        await self.bench.start()
        self._stack.push_async_callback(self.bench.stop)
        self._stack.push_async_callback(self._leave)
        await self.bench.revision(REVISION, concurrency=self.concurrency)
        await asyncio.gather(*(self.add_pod() for _ in range(pods)))
        self.pods.sort(key=lambda pod: pod.address)
        await self.bench.pods(REVISION, *(pod.address for pod in self.pods))
        for number, address in enumerate(activators):
            await self._add_activator(f"activator-{number}", address)
            await self.until_capacity((pods, 0, 0), of=number)

    async def add_pod(self) -> Pod:
        """Start a pod that nobody is told of yet."""
        pod = Pod(self)
        directory = self._directory / f"pod-{len(self.pods)}"
        self.pods.append(pod)
        directory.mkdir()
        variables = {"CONTAINER_CONCURRENCY": str(self.concurrency)}
        process, _ = await self._stack.enter_async_context(function_with_sidecar(directory, pod.answer, **variables))
        pod.address = process.addresses["inbound"].rpartition(":")[0]
        return pod

    async def _add_activator(self, name: str, address: str) -> None:
        text = json.dumps(bootstrap("activator", name, LOOPBACK, f"127.0.0.1:{self.bench.port}"))
        data = self._directory / name
        settings = ActivatorSettings(
            NOWHERE, LOOPBACK, data, None, 1.0, broker_tls_address=LOOPBACK, pod_address=address
        )
        activator = Activator(parse_bootstrap(text), settings, self.bench.api, self.bench.clock, Termination())
        self._stack.push_async_callback(activator.stop)
        await activator.start()
        self._activators.append(activator)
        async with asyncio.timeout(WAIT_S):
            while "activator" not in activator.addresses():
                await asyncio.sleep(0.01)

    async def activators_are(self, *addresses: str) -> None:
        """Say which activators are ready, as the endpoints controller does."""
        name, namespace = f"{SERVICE}-0", SERVING_NAMESPACE
        body = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8012, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        }
        if (stored := self.bench.informers.of(ENDPOINT_SLICE).get(name, namespace)) is None:
            await self.bench.api.create(ENDPOINT_SLICE, body, namespace)
        else:
            await self.bench.api.replace(ENDPOINT_SLICE, {**stored, "endpoints": body["endpoints"]})

    def capacity(self, of: int = 0) -> tuple[int, int, int]:
        """Return (pods with a free slot, requests in flight, requests that wait) of an activator."""
        return self._activators[of]._plane.engine.capacity(CLUSTER)  # noqa: SLF001 - nobody else counts them

    async def until_capacity(self, wanted: tuple[int, int, int], of: int = 0) -> None:
        """Return when an activator counts so."""
        async with asyncio.timeout(WAIT_S):
            while self.capacity(of) != wanted:
                await asyncio.sleep(0.01)

    async def until_pods(self, *pods: Pod) -> None:
        """Return when the first activator sends to these pods and no other."""
        wanted = {f"{pod.address}:8012" for pod in pods}
        async with asyncio.timeout(WAIT_S):
            while self._sent_to() != wanted:
                await asyncio.sleep(0.01)

    def _sent_to(self) -> set[str]:
        clusters = self._activators[0]._plane.snapshot.clusters  # noqa: SLF001 - the snapshot that is in force
        return {end.address for cluster in clusters if cluster.name == CLUSTER for end in cluster.endpoints}

    async def ask(self, path: str = "/", *, of: int = 0, body: bytes | None = None) -> Reply:
        """Ask the revision, by an activator."""
        headers = {"Knative-Serving-Namespace": "default", "Knative-Serving-Revision": REVISION}
        address = self._activators[of].addresses()["activator"]
        return await ask(address, path, method="POST" if body else "GET", headers=headers, body=body)

    def asks(self, path: str = "/", *, of: int = 0, body: bytes | None = None) -> asyncio.Task[Reply]:
        """The same, while the test goes on."""
        task = asyncio.get_running_loop().create_task(self.ask(path, of=of, body=body))
        self._clients.append(task)
        return task

    async def _leave(self) -> None:
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)


@asynccontextmanager
async def revision_world(
    directory: Path, concurrency: int, pods: int = 3, activators: Sequence[str] = ("",)
) -> AsyncIterator[RevisionWorld]:
    """Run a revision with its activators until the block ends."""
    async with AsyncExitStack() as stack:
        world = RevisionWorld(directory, concurrency, stack)
        await world.start(pods, activators)
        yield world
