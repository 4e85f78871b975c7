"""`AdsClient` on real gRPC: what it asks, what it applies, what it answers, and what survives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventmesh.base.clock import Clock, SystemClock
from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.model.snapshot import Snapshot
from eventmesh.xds.bootstrap import AdsConfig, Node
from eventmesh.xds.client.ads import AdsClient
from eventmesh.xds.control import envoy
from eventmesh.xds.control.acks import AckTracker, Nack
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.resources import Resource, from_bytes
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.server import AdsServer
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.encode import write_wire
from tests.component.control_way import CLUSTER, calls_to
from tests.component.scripted_control import (
    ScriptedControl,
    ScriptedStream,
    cluster,
    endpoints,
    routes,
)
from tests.manual_clock import ManualClock
from tests.waiting import WAIT_S

CDS, EDS, LDS, RDS = ResourceType.CLUSTER, ResourceType.ENDPOINT, ResourceType.LISTENER, ResourceType.ROUTE
NODE = Node("gateway-1", "edge", {"role": "gateway"})

both_variants = pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])


class Proxy:
    """Stands for the data plane: keeps what was applied, or refuses it."""

    def __init__(self) -> None:
        self.refusal: MeshError | None = None
        self._applied: asyncio.Queue[Snapshot] = asyncio.Queue()
        self.current = Snapshot("")

    async def apply(self, snapshot: Snapshot) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.current = snapshot
        self._applied.put_nowait(snapshot)

    async def next(self) -> Snapshot:
        async with asyncio.timeout(WAIT_S):
            return await self._applied.get()

    async def until_served(self, **hosts: list[str]) -> None:
        """Return once exactly these hosts are in force, by route table."""
        while self.hosts != hosts:
            await self.next()

    def nothing_new(self) -> bool:
        return self._applied.empty()

    @property
    def clusters(self) -> dict[str, list[str]]:
        return {item.name: [one.address for one in item.endpoints] for item in self.current.clusters}

    @property
    def hosts(self) -> dict[str, list[str]]:
        return {table.name: [host.name for host in table.virtual_hosts] for table in self.current.route_tables}


@asynccontextmanager
async def _running(
    target: str,
    proxy: Proxy,
    *,
    delta: bool,
    node_once: bool = True,
    listeners: bool = False,
    tables: tuple[str, ...] = ("local",),
    clock: Clock | None = None,
) -> AsyncIterator[AdsClient]:
    config = AdsConfig(CLUSTER, delta, listeners=listeners, clusters=True, node_on_first_message_only=node_once)
    tasks = TaskGroup("test")
    async with calls_to(target, config) as calls:
        client = AdsClient(config, NODE, proxy.apply, calls, tables=tables, clock=clock)
        tasks.spawn("ads", client.run())
        try:
            yield client
        finally:
            await tasks.stop()


@pytest.fixture
async def control() -> AsyncIterator[ScriptedControl]:
    async with ScriptedControl().running() as server:
        yield server


async def _serve_a(stream: ScriptedStream, proxy: Proxy) -> None:
    """Bring the client to one cluster with one endpoint and a table that leads to it, all acknowledged."""
    await stream.requests(CDS, RDS)
    await stream.send(CDS, "c1", {"a": cluster("a")})
    await stream.requests(CDS, EDS)
    await stream.send(EDS, "e1", {"a": endpoints("a", 80)})
    await stream.requests(EDS)
    await stream.send(RDS, "r1", {"local": routes("local", "a")})
    await stream.requests(RDS)
    while not proxy.nothing_new():
        await proxy.next()


@both_variants
async def test_clusters_endpoints_and_routes_are_asked_for_applied_and_acknowledged(
    control: ScriptedControl, delta: bool
) -> None:
    proxy = Proxy()
    async with _running(control.target, proxy, delta=delta):
        stream = await control.stream()
        first = await stream.requests(CDS, RDS)
        node = first[CDS].node
        assert node is not None
        assert (node.id, node.metadata) == ("gateway-1", {"role": "gateway"})
        assert first[RDS].node is None
        assert (first[CDS].names, first[CDS].subscribe) == ((), ())
        assert (first[RDS].names or first[RDS].subscribe) == ("local",)
        await stream.send(CDS, "c1", {"a": cluster("a")})
        asked = await stream.requests(CDS, EDS)
        assert (asked[CDS].nonce, asked[CDS].error) == ("c1", None)
        assert (asked[EDS].names or asked[EDS].subscribe) == ("a",)
        await stream.send(EDS, "e1", {"a": endpoints("a", 80, 81)})
        assert (await stream.request()).nonce == "e1"
        assert proxy.clusters == {"a": ["10.0.0.1:80", "10.0.0.1:81"]}
        await stream.send(RDS, "r1", {"local": routes("local", "a")})
        assert (await stream.request()).nonce == "r1"
        assert proxy.hosts == {"local": ["a"]}


@both_variants
async def test_routes_are_acknowledged_only_when_they_are_live(control: ScriptedControl, delta: bool) -> None:
    proxy = Proxy()
    async with _running(control.target, proxy, delta=delta):
        stream = await control.stream()
        await stream.requests(CDS, RDS)
        await stream.send(RDS, "r1", {"local": routes("local", "a")})
        await stream.send(CDS, "c1", {"a": cluster("a")})
        await stream.requests(CDS, EDS)
        assert "local" not in proxy.hosts
        await stream.send(EDS, "e1", {"a": endpoints("a", 80)})
        answers = await stream.requests(EDS, RDS)
        assert (answers[RDS].nonce, answers[RDS].error) == ("r1", None)
        assert proxy.hosts == {"local": ["a"]}


@both_variants
async def test_what_cannot_be_translated_is_refused_with_its_path_and_the_rest_applied(
    control: ScriptedControl, delta: bool
) -> None:
    proxy = Proxy()
    async with _running(control.target, proxy, delta=delta):
        stream = await control.stream()
        await _serve_a(stream, proxy)
        changed: dict[str, dict[str, object]] = {
            "a": cluster("a", lb_policy="CLUSTER_PROVIDED"),
            "b": {"name": "b", "type": "STRICT_DNS"},
        }
        await stream.send(CDS, "c2", changed, version="2")
        nack = await stream.request()
        assert nack.nonce == "c2"
        assert nack.error is not None
        assert nack.error.startswith("a: lb_policy: CLUSTER_PROVIDED is not supported")
        assert proxy.clusters == {"a": ["10.0.0.1:80"], "b": []}


@both_variants
async def test_what_the_data_plane_refuses_is_refused_and_the_former_stays(
    control: ScriptedControl, delta: bool
) -> None:
    proxy = Proxy()
    async with _running(control.target, proxy, delta=delta):
        stream = await control.stream()
        await _serve_a(stream, proxy)
        proxy.refusal = UnavailableError("listener in: 127.0.0.1:80 is taken")
        await stream.send(EDS, "e2", {"a": endpoints("a", 90)}, version="2")
        nack = await stream.request()
        assert (nack.nonce, nack.error) == ("e2", "a: listener in: 127.0.0.1:80 is taken")
        proxy.refusal = None
        await stream.send(CDS, "c2", {"a": cluster("a", connect_timeout=1.0)}, version="2")
        assert (await stream.request()).error is None
        # The refused endpoints did not come along with the next change.
        assert proxy.clusters == {"a": ["10.0.0.1:80"]}


@both_variants
async def test_a_removed_cluster_goes_and_its_endpoints_are_no_longer_asked_for(
    control: ScriptedControl, delta: bool
) -> None:
    proxy = Proxy()
    async with _running(control.target, proxy, delta=delta):
        stream = await control.stream()
        await _serve_a(stream, proxy)
        await stream.send(CDS, "c2", {}, version="2", removed=("a",))
        said = await stream.requests(CDS, EDS)
        assert said[CDS].error is None
        assert (said[EDS].unsubscribe, said[EDS].names) == (("a",) if delta else (), ())
        assert proxy.clusters == {}


@both_variants
async def test_a_new_stream_names_what_is_held_and_nothing_is_lost_meanwhile(
    control: ScriptedControl, delta: bool
) -> None:
    proxy = Proxy()
    async with _running(control.target, proxy, delta=delta):
        stream = await control.stream()
        await _serve_a(stream, proxy)
        stream.end()
        again = await (await control.stream()).requests(CDS, EDS, RDS)
        if delta:
            assert again[CDS].initial_versions == {"a": "1"}
            assert (again[EDS].subscribe, again[EDS].initial_versions) == (("a",), {"a": "1"})
            assert (again[RDS].subscribe, again[RDS].initial_versions) == (("local",), {"local": "1"})
        else:
            assert [(again[kind].version, again[kind].nonce) for kind in (CDS, EDS, RDS)] == [("1", "")] * 3
            assert (again[EDS].names, again[RDS].names) == (("a",), ("local",))
        assert again[CDS].node is not None
        assert proxy.nothing_new()
        assert proxy.clusters == {"a": ["10.0.0.1:80"]}


async def test_the_node_is_in_every_request_when_the_bootstrap_does_not_say_otherwise(
    control: ScriptedControl,
) -> None:
    async with _running(control.target, Proxy(), delta=True, node_once=False):
        first = await (await control.stream()).requests(CDS, RDS)
        assert first[CDS].node is not None
        assert first[RDS].node is not None


async def test_bytes_that_are_no_response_end_the_stream_and_a_new_one_begins(control: ScriptedControl) -> None:
    async with _running(control.target, Proxy(), delta=True):
        stream = await control.stream()
        await stream.requests(CDS, RDS)
        await stream._context.write(b"\xff")
        assert await (await control.stream()).requests(CDS, RDS)


async def test_routes_to_a_cluster_that_never_comes_go_live_after_their_time(control: ScriptedControl) -> None:
    proxy, clock = Proxy(), ManualClock()
    async with _running(control.target, proxy, delta=True, clock=clock):
        stream = await control.stream()
        await stream.requests(CDS, RDS)
        await stream.send(RDS, "r1", {"local": routes("local", "missing")})
        await stream.send(CDS, "c1", {})
        # Responses are taken in order: the routes are held by now, and wait.
        assert (await stream.request()).nonce == "c1"
        assert proxy.hosts == {}
        await clock.advance(15.0)
        assert (await stream.request()).nonce == "r1"
        assert proxy.hosts == {"local": ["missing"]}


class Published:
    """The product's own ADS server, its resources published by hand."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.cache = SnapshotCache()
        self.acks = AckTracker(clock, lambda role: frozenset(("local",)))
        self.nacks: asyncio.Queue[Nack] = asyncio.Queue()
        self.progress = asyncio.Event()
        self.acks.listen(self.progress.set, self.nacks.put_nowait)
        self.server = AdsServer(self.cache, self.acks, clock)
        self.port = 0

    async def start(self) -> None:
        self.port = await self.server.start(f"127.0.0.1:{self.port}")

    def publish(self, *resources: Resource) -> int:
        return self.cache.publish({Audience(Role.GATEWAY): resources})

    async def acknowledged(self, generation: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while not self.acks.of(generation, 0.0).ready:
                self.progress.clear()
                await self.progress.wait()


def _service(name: str, *ports: int) -> list[Resource]:
    return [
        envoy.cluster(name, envoy.Protocol.HTTP2, envoy.Hold(5)),
        envoy.endpoints(name, [("10.0.0.1", port) for port in ports]),
    ]


def _table(*clusters: str) -> Resource:
    return from_bytes(RDS, "local", write_wire("envoy.config.route.v3.RouteConfiguration", routes("local", *clusters)))


LISTENER = envoy.http_listener(envoy.HttpListener("in", "127.0.0.1", 0, "local", "gateway"))


@both_variants
async def test_the_products_own_server_and_client_agree(delta: bool) -> None:
    published, proxy = Published(), Proxy()
    published.publish(LISTENER, *_service("a", 80), _table("a"))
    await published.start()
    try:
        async with _running(f"127.0.0.1:{published.port}", proxy, delta=delta, listeners=True, tables=()) as client:
            async with asyncio.timeout(WAIT_S):
                await client.initialized.wait()
            assert [(item.name, item.route_table, item.via) for item in proxy.current.listeners] == [
                ("in", "local", "gateway")
            ]
            assert proxy.clusters == {"a": ["10.0.0.1:80"]}
            (held,) = proxy.current.clusters
            assert (held.hold, held.max_requests_per_endpoint) == (True, 5)
            # A whole new service, then only its endpoints, then its removal: each acknowledged, each in force.
            generation = published.publish(LISTENER, *_service("a", 80), *_service("b", 81), _table("a", "b"))
            await published.acknowledged(generation)
            assert (proxy.clusters["b"], proxy.hosts) == (["10.0.0.1:81"], {"local": ["a", "b"]})
            await published.acknowledged(
                published.publish(LISTENER, *_service("a", 80), *_service("b", 82), _table("a", "b"))
            )
            assert proxy.clusters["b"] == ["10.0.0.1:82"]
            await published.acknowledged(published.publish(LISTENER, *_service("a", 80), _table("a")))
            assert proxy.hosts == {"local": ["a"]}
    finally:
        await published.server.stop()


@both_variants
async def test_the_products_own_server_hears_why_a_table_was_refused(delta: bool) -> None:
    published, proxy = Published(), Proxy()
    published.publish(*_service("a", 80), _table("a"))
    await published.start()
    try:
        async with _running(f"127.0.0.1:{published.port}", proxy, delta=delta):
            await proxy.until_served(local=["a"])
            bad = write_wire(
                "envoy.config.route.v3.RouteConfiguration",
                {"name": "local", "virtual_hosts": [{"name": "h", "domains": ["*", "a.*.b"]}]},
            )
            published.publish(*_service("a", 80), from_bytes(RDS, "local", bad))
            async with asyncio.timeout(WAIT_S):
                nack = await published.nacks.get()
            assert nack.node == "gateway-1"
            assert "local: virtual_hosts[0].domains[1]: 'a.*.b' is no host name" in nack.refusal.message
            assert proxy.hosts == {"local": ["a"]}
    finally:
        await published.server.stop()


@both_variants
async def test_a_control_plane_that_restarts_finds_its_client_again(delta: bool) -> None:
    published, proxy = Published(), Proxy()
    published.publish(*_service("a", 80), _table("a"))
    await published.start()
    async with _running(f"127.0.0.1:{published.port}", proxy, delta=delta):
        await proxy.until_served(local=["a"])
        await published.server.stop()
        assert proxy.clusters == {"a": ["10.0.0.1:80"]}
        published.publish(*_service("a", 90), _table("a"))
        await published.start()
        try:
            while proxy.clusters != {"a": ["10.0.0.1:90"]}:
                await proxy.next()
        finally:
            await published.server.stop()
