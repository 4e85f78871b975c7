"""Knative's ingress conformance, what holds on to a connection: HTTP/2 backends, gRPC, WebSocket, TLS.

As in `test_ingress_conformance`, the names are the suite's.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio

from eventmesh.core._core import Request
from eventmesh.kube.resources import SECRET
from eventmesh.model.listener import WireProtocol
from eventmesh.transport.exchange import Reply
from tests.component.ingress_world import SECURED_HOST, World, path, rule, split, world
from tests.component.planes import running, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRIPS = 100
"""Round trips of one stream or socket, and most streams that are opened until both halves of a split have been met."""
STICKS = 10
FILES = Path(__file__).parents[1] / "vectors" / "tls"
"""A name in the certificate of the vectors."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Callable[[], int]
) -> AsyncIterator[World]:
    ports = [unused_tcp_port_factory() for _ in range(3)]
    async with world(tmp_path_factory.mktemp("ingress"), ports) as made:
        yield made


class Protocols:
    """Answers with the protocol that a request came by."""

    async def handle(self, request: Request) -> Reply:
        return Reply(200, (("content-type", "application/json"),), json.dumps({"protocol": request.protocol}).encode())


async def test_basics_http2(gateway: World) -> None:
    snapshot = serving("protocols")
    both = dataclasses.replace(snapshot.listeners[0], protocol=WireProtocol.AUTO)
    async with running(dataclasses.replace(snapshot, listeners=(both,)), {"protocols": Protocols()}) as plane:
        port = int(plane.addresses()["edge"].rpartition(":")[2])
        for name, protocol in (("http2", "http2"), ("http", "http1")):
            host = f"{gateway.name('basics')}.example.com"
            await gateway.ingress(rule([host], path(split(await gateway.service(port, name)))))
            assert (await gateway.get(host)).request == {"protocol": protocol}


class Stream:
    """A bidirectional stream to the gateway."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call: Any = channel.stream_stream("/ping.Ping/PingStream")()

    async def ping(self, word: str) -> str:
        """Send a message and return what comes back."""
        await self._call.write(word.encode())
        return bytes(await self._call.read()).decode()

    async def close(self) -> None:
        await self._call.done_writing()


def channel(gateway: World, host: str) -> grpc.aio.Channel:
    """Return a channel with a connection of its own."""
    options = [("grpc.default_authority", host), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    return grpc.aio.insecure_channel(gateway.public, options=options)


async def test_grpc(gateway: World) -> None:
    host = f"{gateway.name('grpc')}.example.com"
    await gateway.ingress(rule([host], path(split(await gateway.grpc("-pong")))))
    async with channel(gateway, host) as connection:
        stream = Stream(connection)
        assert [await stream.ping(str(number)) for number in range(TRIPS)] == [f"{n}-pong" for n in range(TRIPS)]
        await stream.close()


async def test_grpc_split(gateway: World) -> None:
    host = f"{gateway.name('grpc-split')}.example.com"
    halves = [split(await gateway.grpc(suffix), 50) for suffix in ("-a", "-b")]
    await gateway.ingress(rule([host], path(*halves)))
    met: set[str] = set()
    for _ in range(TRIPS):
        async with channel(gateway, host) as connection:
            stream = Stream(connection)
            answers = {await stream.ping("ping") for _ in range(STICKS)}
            assert len(answers) == 1
            met |= answers
            await stream.close()
        if len(met) == 2:
            break
    assert met == {"ping-a", "ping-b"}


async def test_websocket(gateway: World) -> None:
    host = f"{gateway.name('ws')}.example.com"
    await gateway.ingress(rule([host], path(split(await gateway.websocket("delta")))))
    async with gateway.http.ws_connect(f"http://{gateway.public}/", headers={"Host": host}) as socket:
        for number in range(TRIPS):
            await socket.send_str(f"ping - {number}")
            assert await socket.receive_str() == f"ping - {number} delta"


async def test_websocket_split(gateway: World) -> None:
    host = f"{gateway.name('ws-split')}.example.com"
    halves = [split(await gateway.websocket(suffix), 50) for suffix in ("one", "two")]
    await gateway.ingress(rule([host], path(*halves)))
    met: set[str] = set()
    for _ in range(TRIPS):
        async with gateway.http.ws_connect(f"http://{gateway.public}/", headers={"Host": host}) as socket:
            answers = set()
            for _ in range(STICKS):
                await socket.send_str("ping")
                answers.add(await socket.receive_str())
            assert len(answers) == 1
            met |= answers
        if len(met) == 2:
            break
    assert met == {"ping one", "ping two"}


async def test_tls(gateway: World) -> None:
    host, name = SECURED_HOST, gateway.name("cert")
    data = {"tls.crt": FILES / "server.pem", "tls.key": FILES / "server.key"}
    encoded = {field: base64.b64encode(file.read_bytes()).decode() for field, file in data.items()}
    metadata = {"name": name, "namespace": "default"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": encoded}
    await gateway.bench.api.create(SECRET, secret, "default")
    tls = [{"hosts": [host], "secretName": name, "secretNamespace": "default"}]
    await gateway.ingress(rule([host], path(split(await gateway.runtime()))), tls=tls)
    assert (await gateway.get(host)).status == 200
    context = ssl.create_default_context(cafile=str(FILES / "authority.pem"))
    url = f"https://{gateway.secure}/"
    async with gateway.http.get(url, headers={"Host": host}, ssl=context, server_hostname=host) as response:
        assert response.status == 200
