"""Envoy in a mesh of 1,000 services, of which it is told when a request names one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from eventmesh.base.clock import SystemClock
from eventmesh.kube.api import Object
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.listeners import LISTENED_TABLES
from eventmesh.xds.control.server import AdsServer
from eventmesh.xds.control.services import BROKER_CLUSTER, Settings
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.watcher import Watcher
from tests.peers.backends import backend
from tests.peers.envoy import Envoy, bootstrap, envoy_on
from tests.peers.pairs import TYPES
from tests.unit.xds.control.views import ingress, path, rule, service, slice_, split
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

SERVICES = 1_000


class Control:
    """Control over objects that are put in by hand."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        anywhere = ("127.0.0.1", 0)
        self.watcher = Watcher()
        self.builder = ResourceBuilder(Settings(public=anywhere, local=anywhere))
        self.routed: dict[str, Object] = {}
        self.port = 0

    async def start(self) -> None:
        """Serve what there is; nothing is remembered of who was served before."""
        self.cache = SnapshotCache(self.builder.sets)
        self.acks = AckTracker(self.clock, lambda role: LISTENED_TABLES.get(role, frozenset()))
        self.server = AdsServer(self.cache, self.acks, self.clock)
        self.port = await self.server.start(f"127.0.0.1:{self.port}")

    def route(self, host: str, to: str) -> None:
        """Have `host` lead to the Service `to`."""
        routed = ingress(host, rule(host, paths=[path(split(to))]))
        self.watcher.ingress(self.routed.get(host), routed)
        self.routed[host] = routed

    def serve(self, name: str, address: tuple[str, int]) -> None:
        """Have a Service lead to `address`."""
        self.watcher.service(None, service(name))
        self.watcher.slice(None, slice_(name, address[0], port=address[1]))

    def publish(self) -> None:
        self.builder.update(self.watcher.of, self.watcher.take_changed())
        self.cache.update({one: self.builder.sets(one) for one in filter(self.builder.affects, self.cache.audiences())})


@dataclass
class Mesh:
    control: Control
    envoy: Envoy
    http: aiohttp.ClientSession
    addresses: dict[str, tuple[str, int]] = field(default_factory=dict)
    port: int = 0

    async def ask(self, host: str) -> tuple[int, str]:
        """Return status, and which backend has answered."""
        async with self.http.get(f"http://127.0.0.1:{self.port}/", headers={"Host": host}) as response:
            return response.status, (await response.json())["name"] if response.status == 200 else ""

    async def until(self, host: str, expected: tuple[int, str]) -> None:
        """Return once `host` is answered as expected."""
        async with asyncio.timeout(WAIT_S):
            while await self.ask(host) != expected:
                await asyncio.sleep(0.01)

    async def held(self) -> tuple[set[str], set[str]]:
        """Return the virtual hosts that Envoy holds for its public listener, and its clusters."""
        parts: dict[str, Any] = {
            part["@type"].rpartition(".")[2]: part for part in (await self.envoy.admin("/config_dump"))["configs"]
        }
        tables = [found["route_config"] for found in parts["RoutesConfigDump"]["dynamic_route_configs"]]
        hosts = {host["name"] for table in tables if table["name"] == "public" for host in table["virtual_hosts"]}
        return hosts, {found["cluster"]["name"] for found in parts["ClustersConfigDump"]["dynamic_active_clusters"]}

    async def warm(self) -> None:
        """Wait until both listeners take connections."""
        async with asyncio.timeout(WAIT_S):
            while await self.envoy.counter("listener_manager.listener_create_success") < 2:
                await asyncio.sleep(0.01)
        self.port = await self.envoy.port("public")


@pytest_asyncio.fixture
async def control() -> AsyncIterator[Control]:
    control = Control()
    async with AsyncExitStack() as stack:
        a, b = [await stack.enter_async_context(backend(name)) for name in ("a", "b")]
        control.serve("a", a)
        control.serve("b", b)
        for number in range(SERVICES):
            control.serve(f"s{number}", a)
            control.route(f"s{number}.test", f"s{number}")
        await control.start()
        control.publish()
        try:
            yield control
        finally:
            await control.server.stop()


async def running(control: Control, api_type: str, directory: Path, stack: AsyncExitStack) -> Mesh:
    """Run an Envoy that is a gateway."""
    config = bootstrap(control.port, api_type)
    config["node"]["metadata"] = {"on_demand": True}
    mesh = await started(control, config, directory, stack)
    await mesh.warm()
    return mesh


async def started(control: Control, config: Object, directory: Path, stack: AsyncExitStack) -> Mesh:
    file = directory / "envoy.json"
    file.write_text(json.dumps(config))
    envoy = await stack.enter_async_context(envoy_on(file))
    return Mesh(control, envoy, await stack.enter_async_context(aiohttp.ClientSession()))


def sidecar(ads_port: int) -> Object:
    """Return the bootstrap of an Envoy that takes its workload's requests at a listener of its own."""
    config = bootstrap(ads_port, "DELTA_GRPC")
    config["node"]["metadata"] = {"role": "sidecar", "namespace": "elsewhere", "on_demand": True}
    del config["dynamic_resources"]["lds_config"]
    filters = [
        {"name": name, "typed_config": {"@type": f"{TYPES}.filters.http.{kind}"}}
        for name, kind in (("on_demand", "on_demand.v3.OnDemand"), ("router", "router.v3.Router"))
    ]
    by_ads = {"ads": {}, "resource_api_version": "V3"}
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound",
        "rds": {"route_config_name": "local", "config_source": by_ads},
        "http_filters": filters,
    }
    listener = {
        "name": "outbound",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    config["static_resources"]["listeners"] = [listener]
    return config


def holding(*names: str) -> tuple[set[str], set[str]]:
    """Return what an Envoy holds that has asked for these Services."""
    return {BROKER_CLUSTER, *(f"public/{name}.test" for name in names)}, {
        BROKER_CLUSTER,
        *(f"ns/{name}:80" for name in names),
    }


async def test_an_envoy_that_talks_to_three_of_a_thousand_holds_three(control: Control, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        mesh = await running(control, "DELTA_GRPC", tmp_path, stack)
        assert await mesh.held() == holding()
        # The first request waits and passes, however many come at once.
        answers = await asyncio.gather(*(mesh.ask(f"s{number}.test") for number in (1, 2, 3, 1, 2, 3)))
        assert set(answers) == {(200, "a")}
        assert await mesh.held() == holding("s1", "s2", "s3")
        assert await mesh.ask("s4.test:8080") == (200, "a")


async def test_unknown_changed_and_removed_hosts_are_told_to_an_envoy_that_has_asked(
    control: Control, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        mesh = await running(control, "DELTA_GRPC", tmp_path, stack)
        assert await mesh.ask("late.test") == (404, "")
        control.route("late.test", "b")
        control.publish()
        # It was asked for once: it comes unasked, with its cluster.
        async with asyncio.timeout(WAIT_S):
            while "public/late.test" not in (await mesh.held())[0]:
                await asyncio.sleep(0.01)
        assert await mesh.ask("late.test") == (200, "b")
        control.route("late.test", "a")
        control.publish()
        await mesh.until("late.test", (200, "a"))
        control.watcher.ingress(control.routed.pop("late.test"), None)
        control.publish()
        await mesh.until("late.test", (404, ""))
        hosts, _ = await mesh.held()
        assert hosts == {BROKER_CLUSTER}
        assert await mesh.envoy.counter("cluster_manager.update_rejected") == 0


async def test_another_replica_of_control_goes_on_where_the_last_one_stopped(control: Control, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        mesh = await running(control, "DELTA_GRPC", tmp_path, stack)
        assert await mesh.ask("s1.test") == (200, "a")
        assert await mesh.ask("unknown.test") == (404, "")
        await control.server.stop()
        assert await mesh.ask("s1.test") == (200, "a")
        control.route("s1.test", "b")
        control.watcher.ingress(None, ingress("unknown", rule("unknown.test", paths=[path(split("b"))])))
        await control.start()
        control.publish()
        # What changed while nobody was there arrives; what was asked for in vain is there; others may be asked for.
        for host, name in (("s1.test", "b"), ("unknown.test", "b"), ("s2.test", "a")):
            await mesh.until(host, (200, name))


async def test_an_envoy_beside_a_workload_reaches_all_namespaces_and_holds_what_that_calls(
    control: Control, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        mesh = await started(control, sidecar(control.port), tmp_path, stack)
        mesh.port = await mesh.envoy.port("outbound")
        # Until its route table has come the listener is bound and takes nobody.
        async with asyncio.timeout(WAIT_S):
            while await mesh.envoy.counter("listener_manager.workers_started") != 1:
                await asyncio.sleep(0.01)
        assert await mesh.ask("s5.ns.svc.cluster.local") == (200, "a")
        assert (await mesh.held())[1] == {BROKER_CLUSTER, "ns/s5:80"}


async def test_an_envoy_that_speaks_state_of_the_world_is_told_everything(control: Control, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        mesh = await running(control, "GRPC", tmp_path, stack)
        assert await mesh.ask("s999.test") == (200, "a")
        hosts, clusters = await mesh.held()
        assert len(hosts) == SERVICES + 1 and len(clusters) == SERVICES + 3
