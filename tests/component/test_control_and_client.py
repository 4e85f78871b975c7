"""The product's own two ends of xDS together: objects in, a `model.Snapshot` out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.resources import KINGRESS, SERVERLESS_SERVICE
from eventmesh.kube.status import condition, is_ready
from eventmesh.model.cluster import Cluster
from eventmesh.model.route import Forward, VirtualHost
from eventmesh.model.snapshot import Snapshot
from eventmesh.xds.bootstrap import AdsConfig, Node
from eventmesh.xds.client.ads import AdsClient
from tests.component.control_bench import Bench
from tests.component.control_way import CLUSTER, calls_to
from tests.waiting import WAIT_S

VARIANTS = pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])


class Plane:
    """A data plane that only remembers its configuration."""

    def __init__(self, port: int, role: str, *, delta: bool, tables: tuple[str, ...] = ()) -> None:
        self.snapshot = Snapshot(version="")
        self.refuses: Callable[[Snapshot], str | None] = lambda snapshot: None
        self.changed = asyncio.Event()
        self.port = port
        self.config = AdsConfig(CLUSTER, delta=delta, listeners=True, clusters=True)
        self._node = Node(f"{role}-1", metadata={"role": role})
        self._tables = tables

    async def follow(self) -> None:
        """Subscribe until cancelled."""
        async with calls_to(f"127.0.0.1:{self.port}", self.config) as calls:
            await AdsClient(self.config, self._node, self.apply, calls, tables=self._tables).run()

    async def apply(self, snapshot: Snapshot) -> None:
        why = self.refuses(snapshot)
        if why is not None:
            raise ConfigError("", why)
        self.snapshot = snapshot
        self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    def host(self, table: str, domain: str) -> VirtualHost | None:
        found = (t for t in self.snapshot.route_tables if t.name == table)
        return next((host for t in found for host in t.virtual_hosts if domain in host.domains), None)

    def cluster(self, name: str) -> Cluster:
        return next((c for c in self.snapshot.clusters if c.name == name), Cluster(""))

    def addresses(self, name: str) -> set[str]:
        return {endpoint.address for endpoint in self.cluster(name).endpoints}


@asynccontextmanager
async def running(plane: Plane) -> AsyncIterator[Plane]:
    tasks = TaskGroup("test.plane")
    tasks.spawn("client", plane.follow())
    try:
        yield plane
    finally:
        await tasks.stop()


@asynccontextmanager
async def bench_in(directory: Path) -> AsyncIterator[Bench]:
    bench = Bench(directory)
    await bench.start()
    try:
        yield bench
    finally:
        await bench.stop()


@VARIANTS
async def test_a_gateway_is_given_listeners_routes_clusters_and_endpoints(tmp_path: Path, delta: bool) -> None:
    async with bench_in(tmp_path) as bench, running(Plane(bench.port, "gateway", delta=delta)) as gateway:
        await gateway.until(lambda: {li.name for li in gateway.snapshot.listeners} == {"public", "local"})
        await bench.revision("rev", mode="Serve")
        await bench.ingress("hello", "hello.test", "rev")
        await bench.ready("hello")
        host = gateway.host("public", "hello.test")
        assert host is not None
        action = host.routes[-1].action
        assert isinstance(action, Forward)
        assert ([c.name for c in action.clusters], action.timeout_s) == (["default/rev"], 0.0)
        assert gateway.addresses("default/rev") == {"127.0.0.2:8012"}
        await bench.pods("rev", "127.64.0.1")
        await gateway.until(lambda: gateway.addresses("default/rev") == {"127.64.0.1:8012"})


@VARIANTS
async def test_the_activator_holds_what_has_no_pod(tmp_path: Path, delta: bool) -> None:
    async with bench_in(tmp_path) as bench:
        await bench.revision("rev", concurrency=3)
        async with running(Plane(bench.port, "activator", delta=delta, tables=("local",))) as activator:
            await activator.until(lambda: activator.cluster("default/rev").hold)
            assert activator.cluster("default/rev").max_requests_per_endpoint == 3
            assert activator.addresses("default/rev") == set()
            await activator.until(lambda: activator.host("activator", "*") is not None)
            await activator.until(lambda: activator.host("local", "rev.default.svc.cluster.local") is not None)
            await bench.pods("rev", "127.64.0.1")
            await activator.until(lambda: activator.addresses("default/rev") == {"127.64.0.1:8012"})


@VARIANTS
async def test_a_sidecar_is_given_the_tables_it_asks_for(tmp_path: Path, delta: bool) -> None:
    async with bench_in(tmp_path) as bench:
        await bench.ingress("hello", "hello.test", "svc")
        async with running(Plane(bench.port, "sidecar", delta=delta, tables=("local", "bolt"))) as sidecar:
            await sidecar.until(lambda: sidecar.host("local", "hello.test") is not None)
            assert {table.name for table in sidecar.snapshot.route_tables} == {"local", "bolt"}
            await bench.revision("rev")
            await bench.until(SERVERLESS_SERVICE, "rev", is_ready)
            assert sidecar.addresses("default/rev") == {"127.0.0.2:8012"}


@VARIANTS
async def test_what_the_data_plane_refuses_is_told_to_the_author(tmp_path: Path, delta: bool) -> None:
    def picky(snapshot: Snapshot) -> str | None:
        text = str(snapshot.route_tables)
        return "the header x-evil is not welcome" if "x-evil" in text else None

    async with bench_in(tmp_path) as bench, running(Plane(bench.port, "gateway", delta=delta)) as gateway:
        await gateway.until(lambda: bool(gateway.snapshot.listeners))
        gateway.refuses = picky
        await bench.ingress("good", "good.test", "svc")
        await bench.ready("good")
        await bench.ingress("bad", "bad.test", "svc", appendHeaders={"x-evil": "1"})
        refused = await bench.until(KINGRESS, "bad", lambda obj: condition(obj, "NetworkConfigured") is not None)
        found = condition(refused, "NetworkConfigured")
        assert found is not None and "the header x-evil is not welcome" in found["message"]
        await bench.ingress("later", "later.test", "svc")
        await bench.ready("later")
        assert gateway.host("public", "good.test") and gateway.host("public", "later.test")
        assert gateway.host("public", "bad.test") is None


@VARIANTS
async def test_a_restart_of_control_leaves_the_data_plane_as_it_is(tmp_path: Path, delta: bool) -> None:
    async with bench_in(tmp_path / "one") as bench, running(Plane(bench.port, "gateway", delta=delta)) as gateway:
        await bench.ingress("hello", "hello.test", "svc")
        await gateway.until(lambda: gateway.host("public", "hello.test") is not None)
        await bench.ready("hello")
        before = gateway.snapshot
        await bench.restart_control()
        await bench.ingress("more", "more.test", "svc")
        await gateway.until(lambda: gateway.host("public", "more.test") is not None)
        assert gateway.host("public", "hello.test") == next(
            h for t in before.route_tables if t.name == "public" for h in t.virtual_hosts if "hello.test" in h.domains
        )
