"""Envoy subscribes to our ADS server, in both variants of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from envoy_data_plane.envoy.config.core.v3 import HeaderValue, HeaderValueOption
from envoy_data_plane.envoy.config.route.v3 import VirtualHost

from eventmesh.base.clock import SystemClock
from eventmesh.xds.control import envoy as messages
from eventmesh.xds.control.acks import AckTracker, Nack
from eventmesh.xds.control.ingress import Fragment, fragment, plain_route
from eventmesh.xds.control.listeners import LISTENED_TABLES
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.server import AdsServer
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.tables import joined
from eventmesh.xds.resource_types import ResourceType
from tests.peers.backends import backend
from tests.peers.envoy import Envoy, running_envoy
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

VARIANTS = ["GRPC", "DELTA_GRPC"]


class Control:
    """An ADS server without Kubernetes: resources are published by hand."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.cache = SnapshotCache()
        self.acks = AckTracker(self.clock, lambda role: LISTENED_TABLES.get(role, frozenset()))
        self.progress = asyncio.Event()
        self.nacks: list[Nack] = []
        self.acks.listen(self.progress.set, self.refused)
        self.server = AdsServer(self.cache, self.acks, self.clock)
        self.port = 0

    def refused(self, nack: Nack) -> None:
        self.nacks.append(nack)
        self.progress.set()

    async def start(self) -> None:
        self.port = await self.server.start(f"127.0.0.1:{self.port}")

    def publish(self, *resources: Resource) -> int:
        return self.cache.publish({Audience(Role.ENVOY): [*LISTENERS, *resources]})

    def done(self, generation: int) -> bool:
        return bool(self.acks.clients(Role.ENVOY)) and self.acks.of(generation, 0.0).ready

    async def acknowledged(self, generation: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while not self.done(generation):
                self.progress.clear()
                await self.progress.wait()

    async def refusal(self) -> Nack:
        async with asyncio.timeout(WAIT_S):
            while not self.nacks:
                self.progress.clear()
                await self.progress.wait()
        return self.nacks.pop()


LISTENERS = [
    messages.http_listener(messages.HttpListener(name, "127.0.0.1", 0, name, "gateway"), for_envoy=True)
    for name in ("public", "local")
]


def host(name: str, cluster: str) -> VirtualHost:
    return VirtualHost(name=name, domains=[name], routes=[plain_route(cluster)])


def tables(*hosts: VirtualHost) -> list[Resource]:
    parts: Sequence[Fragment] = [fragment(h) for h in hosts]
    return [joined(name, [part.field for part in parts]) for name in ("public", "local")]


def service(name: str, *addresses: tuple[str, int]) -> list[Resource]:
    return [messages.cluster(name, messages.Protocol.HTTP1), messages.endpoints(name, addresses)]


@dataclass
class Mesh:
    control: Control
    envoy: Envoy
    http: aiohttp.ClientSession
    a: tuple[str, int]
    b: tuple[str, int]
    port: int = 0

    async def get(self, host: str) -> tuple[int, dict[str, Any]]:
        async with self.http.get(f"http://127.0.0.1:{self.port}/x", headers={"Host": host}) as response:
            return response.status, (await response.json() if response.status == 200 else {})

    async def serves_until_acknowledged(self, host: str, generation: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while not self.control.done(generation):
                assert (await self.get(host))[0] == 200


@pytest.fixture(params=VARIANTS)
async def mesh(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mesh]:
    async with AsyncExitStack() as stack:
        control = Control()
        a, b = [await stack.enter_async_context(backend(name)) for name in ("a", "b")]
        generation = control.publish(*service("ns/a", a), *tables(host("a.test", "ns/a")))
        await control.start()
        stack.push_async_callback(control.server.stop)
        proxy = await stack.enter_async_context(running_envoy(tmp_path, control.port, request.param))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await control.acknowledged(generation)
        yield Mesh(control, proxy, http, a, b, await proxy.port("public"))


async def test_a_request_is_answered_as_soon_as_the_routes_are_acknowledged(mesh: Mesh) -> None:
    assert (await mesh.get("a.test:80"))[1]["name"] == "a"


async def test_an_endpoint_change_reaches_traffic_once_acknowledged(mesh: Mesh) -> None:
    generation = mesh.control.publish(*service("ns/a", mesh.b), *tables(host("a.test", "ns/a")))
    await mesh.control.acknowledged(generation)
    assert (await mesh.get("a.test"))[1]["name"] == "b"


async def test_a_new_cluster_and_its_route_in_one_push_never_fail_a_request(mesh: Mesh) -> None:
    clusters = service("ns/a", mesh.a)
    for number in range(10):
        name = f"ns/new-{number}"
        clusters += service(name, mesh.b)
        # The existing host moves to the new cluster; requests run while that happens.
        generation = mesh.control.publish(*clusters, *tables(host("a.test", name)))
        await mesh.serves_until_acknowledged("a.test", generation)
        assert (await mesh.get("a.test"))[1]["name"] == "b"


async def test_a_changed_cluster_does_not_warm_for_fifteen_seconds(mesh: Mesh) -> None:
    changed = messages.cluster("ns/a", messages.Protocol.HTTP1, messages.Hold(7))
    generation = mesh.control.publish(changed, messages.endpoints("ns/a", [mesh.a]), *tables(host("a.test", "ns/a")))
    await mesh.control.acknowledged(generation)
    async with asyncio.timeout(WAIT_S):
        while await mesh.envoy.counter("cluster_manager.warming_clusters"):
            await asyncio.sleep(0.01)
    # Envoy counts when its patience with a cluster's endpoints is at an end (`initial_fetch_timeout`, fifteen seconds).
    name = "cluster.ns/a.init_fetch_timeout"
    assert await mesh.envoy.page(f"/stats?filter=^{name}$") == f"{name}: 0\n"
    assert (await mesh.get("a.test"))[0] == 200


async def test_a_refused_route_table_is_reported_and_the_old_one_keeps_serving(mesh: Mesh) -> None:
    bad = host("bad.test", "ns/a")
    bad.request_headers_to_add = [HeaderValueOption(header=HeaderValue(key=":path", value="/elsewhere"))]
    generation = mesh.control.publish(*service("ns/a", mesh.a), *tables(host("a.test", "ns/a"), bad))
    nack = await mesh.control.refusal()
    assert nack.node == "envoy-1"
    assert nack.refusal.type is ResourceType.ROUTE
    assert ":-prefixed" in nack.refusal.message or ":path" in nack.refusal.message
    assert not mesh.control.acks.of(generation, 0.0).ready
    assert (await mesh.get("a.test"))[0] == 200
    fixed = mesh.control.publish(*service("ns/a", mesh.a), *tables(host("a.test", "ns/a"), host("bad.test", "ns/a")))
    await mesh.control.acknowledged(fixed)
    assert (await mesh.get("bad.test"))[1]["name"] == "a"


async def test_control_restarts_without_a_failed_request(mesh: Mesh) -> None:
    await mesh.control.server.stop()
    assert (await mesh.get("a.test"))[1]["name"] == "a"
    mesh.control.server = AdsServer(mesh.control.cache, mesh.control.acks, mesh.control.clock)
    await mesh.control.start()
    generation = mesh.control.publish(*service("ns/a", mesh.b), *tables(host("a.test", "ns/a")))
    await mesh.serves_until_acknowledged("a.test", generation)
    assert (await mesh.get("a.test"))[1]["name"] == "b"
    await mesh.control.server.stop()
