"""Proxyless gRPC: grpcio's own xDS client finds services through our ADS server, state of the world."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest
from envoy_data_plane.envoy.config.route.v3 import VirtualHost

from eventmesh.base.clock import SystemClock
from eventmesh.cli.control.bootstraps import client_bootstrap
from eventmesh.kube.api import Object
from eventmesh.kube.resources import ENDPOINT_SLICE, KINGRESS, SERVICE, TRAFFIC_POLICY
from eventmesh.xds.control import envoy as messages
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.ingress import fragment, plain_route
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.server import AdsServer
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.tables import joined
from tests.component.control_bench import CLASS, Bench

pytestmark = pytest.mark.peer

TARGET = "greeter.ns.svc.cluster.local"
CLIENT = Path(__file__).with_name("grpc_xds_client.py")


@asynccontextmanager
async def greeter(name: str) -> AsyncIterator[tuple[str, int]]:
    """Answer every unary call with `name`."""

    async def answer(request: bytes, context: object) -> bytes:
        return name.encode()

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Greeter", {"Greet": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield "127.0.0.1", port
    finally:
        await server.stop(0)


class Caller:
    """The client runs in a process of its own: grpcio reads its xDS bootstrap once per process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, *metadata: str, how: str = "call") -> str:
        """Make one call; return the answer, or the gRPC status code's name. `how` is a word of the client's."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{' '.join((how, *metadata))}\n".encode())
        async with asyncio.timeout(20):
            return (await self._process.stdout.readline()).decode().strip()

    async def until(self, answer: str) -> None:
        """Call until `answer` comes; no call may fail on the way."""
        async with asyncio.timeout(20):
            while (got := await self.call()) != answer:
                assert got in ("a", "b"), got


@asynccontextmanager
async def caller(port: int, target: str = TARGET, *, certificates: Path | None = None) -> AsyncIterator[Caller]:
    """Run a client; with the directory of its `certificates` under mTLS, to control and to others."""
    where = f"localhost:{port}" if certificates else f"127.0.0.1:{port}"
    directory = str(certificates or "")
    bootstrap = client_bootstrap("grpc", "grpc-1", where, "127.0.0.1:0", certificate_dir=directory)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CLIENT), f"xds:///{target}", *(("secured",) if certificates else ())),
        env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Caller(process)
    finally:
        process.kill()
        await process.communicate()


def resources(cluster: str, *addresses: tuple[str, int]) -> list[Resource]:
    host = VirtualHost(name=cluster, domains=[TARGET], routes=[plain_route(cluster)])
    return [
        messages.api_listener(TARGET, "local"),
        joined("local", [fragment(host).field]),
        messages.cluster(cluster, messages.Protocol.HTTP2),
        messages.endpoints(cluster, addresses),
    ]


@pytest.fixture
async def cache() -> AsyncIterator[tuple[SnapshotCache, int]]:
    clock = SystemClock()
    cache = SnapshotCache()
    server = AdsServer(cache, AckTracker(clock, lambda role: frozenset()), clock)
    port = await server.start("127.0.0.1:0")
    yield cache, port
    await server.stop()


async def test_a_grpc_channel_follows_listener_routes_cluster_and_endpoints(cache: tuple[SnapshotCache, int]) -> None:
    snapshots, port = cache
    async with greeter("a") as a, greeter("b") as b:
        snapshots.publish({Audience(Role.GRPC): resources("ns/greeter:80", a)})
        async with caller(port) as client:
            assert await client.call() == "a"
            snapshots.publish({Audience(Role.GRPC): resources("ns/greeter:80", b)})
            await client.until("b")
            # A new cluster under the same host: the route moves, no call fails.
            snapshots.publish({Audience(Role.GRPC): [*resources("ns/other:80", a), *resources("ns/greeter:80", b)[2:]]})
            await client.until("a")


INGRESS_HOST = "greeter.default.svc.cluster.local"
CALLS = 60
"""One share of two is missed by all of them once in 2^59 runs."""


def share(service: str, percent: int = 100) -> Object:
    return {"serviceNamespace": "default", "serviceName": service, "servicePort": 80, "percent": percent}


async def route(bench: Bench, *paths: Object) -> None:
    """Make `paths` what the host leads to, and wait until that is published."""
    rule = {"hosts": [INGRESS_HOST], "visibility": "ClusterLocal", "http": {"paths": list(paths)}}
    known = bench.informers.of(KINGRESS).get("greeter", "default")
    if known is None:
        annotations = {"networking.knative.dev/ingress-class": CLASS}
        await bench.create(KINGRESS, "greeter", {"rules": [rule]}, annotations=annotations)
    else:
        await bench.api.replace(KINGRESS, {**known, "spec": {"rules": [rule]}})
    await bench.ready("greeter")


async def serve(bench: Bench, name: str, *addresses: tuple[str, int]) -> None:
    """Create a Service of HTTP/2 that leads to these addresses."""
    await bench.create(SERVICE, name, {"ports": [{"name": "http2", "port": 80}]})
    for number, (host, port) in enumerate(addresses):
        labels = {"kubernetes.io/service-name": name}
        slice_ = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {"name": f"{name}-{number}", "namespace": "default", "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "http2", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
        }
        await bench.api.create(ENDPOINT_SLICE, slice_, "default")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.start()
    yield bench
    await bench.stop()


async def test_a_grpc_channel_follows_header_routes_weights_and_deletion_of_an_ingress(bench: Bench) -> None:
    async with greeter("a") as a, greeter("b") as b:
        await serve(bench, "a", a)
        await serve(bench, "b", b)
        await route(bench, {"splits": [share("a")]})
        async with caller(bench.port, INGRESS_HOST) as client:
            assert await client.call() == "a"
            await route(
                bench, {"splits": [share("b")], "headers": {"colour": {"exact": "blue"}}}, {"splits": [share("a")]}
            )
            async with asyncio.timeout(20):
                while await client.call("colour=blue") != "b":
                    pass
            assert [await client.call("colour=red"), await client.call()] == ["a", "a"]
            await route(bench, {"splits": [share("a", 50), share("b", 50)]})
            await client.until("b")
            assert {await client.call() for _ in range(CALLS)} == {"a", "b"}
            await route(bench, {"splits": [share("a", 100), share("b", 0)]})
            await client.until("a")
            async with asyncio.timeout(20):
                while {await client.call() for _ in range(CALLS)} != {"a"}:
                    pass
            await bench.api.delete(KINGRESS, "greeter", "default")
            async with asyncio.timeout(20):
                while (got := await client.call(how="try")) != "UNAVAILABLE":
                    assert got == "a"
            await route(bench, {"splits": [share("b")]})
            async with asyncio.timeout(20):
                while (got := await client.call(how="try")) != "b":
                    assert got in ("a", "UNAVAILABLE", "DEADLINE_EXCEEDED")


async def test_a_policys_ring_hash_and_faults_reach_the_channel(bench: Bench) -> None:
    async with greeter("a") as a, greeter("b") as b, caller(bench.port, "pair.default.svc.cluster.local") as client:
        await serve(bench, "pair", a, b)
        async with asyncio.timeout(20):
            while {await client.call() for _ in range(CALLS)} != {"a", "b"}:
                pass
        target = [{"kind": "Service", "name": "pair"}]
        hashed = {"targetRefs": target, "loadBalancer": {"type": "RingHash", "hashOn": {"header": "user"}}}
        await bench.create(TRAFFIC_POLICY, "pair", hashed)
        async with asyncio.timeout(20):
            while len({await client.call("user=u1") for _ in range(CALLS)}) != 1:
                pass
        assert {await client.call(f"user=u{number}") for number in range(CALLS)} == {"a", "b"}
        fault = {"loadBalancer": None, "fault": {"abort": {"status": 503}}}
        await bench.api.patch(TRAFFIC_POLICY, "pair", {"spec": fault}, "default")
        async with asyncio.timeout(20):
            while await client.call(how="try") != "UNAVAILABLE":
                pass
        await bench.api.delete(TRAFFIC_POLICY, "pair", "default")
        async with asyncio.timeout(20):
            while await client.call(how="try") not in ("a", "b"):
                pass
