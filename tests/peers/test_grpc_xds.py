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
from eventmesh.xds.control import envoy as messages
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.ingress import fragment, plain_route
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.server import AdsServer
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.tables import joined

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

    async def call(self) -> str:
        """Make one call; return the answer, or the gRPC status code's name."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(b"call\n")
        async with asyncio.timeout(20):
            return (await self._process.stdout.readline()).decode().strip()

    async def until(self, answer: str) -> None:
        """Call until `answer` comes; no call may fail on the way."""
        async with asyncio.timeout(20):
            while (got := await self.call()) != answer:
                assert got in ("a", "b"), got


@asynccontextmanager
async def caller(port: int) -> AsyncIterator[Caller]:
    bootstrap = {
        "xds_servers": [
            {
                "server_uri": f"127.0.0.1:{port}",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }
        ],
        "node": {"id": "grpc-1", "cluster": "test"},
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CLIENT), f"xds:///{TARGET}"),
        env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Caller(process)
    finally:
        process.kill()
        await process.wait()


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
