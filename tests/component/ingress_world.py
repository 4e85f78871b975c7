"""One control and one gateway process, and backends that do what the images of Knative's ingress conformance do."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
from aiohttp import WSMsgType, web

from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.kube.api import Object
from eventmesh.kube.resources import ENDPOINT_SLICE, KINGRESS, SERVICE
from eventmesh.kube.status import is_ready
from eventmesh.xds.control.services import Settings
from tests.component.control_bench import CLASS, Bench
from tests.component.processes import data_plane
from tests.waiting import WAIT_S

REQUESTS = 1000
AT_ONCE = 8
"""Requests that the suite sends at a time."""
SERVICE_PORT = 80
SECURED_HOST = "ingress.apps.example.com"
"""A host that the certificate of the vectors is for."""

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Seen:
    """An answer, and what the backend saw of its request."""

    status: int
    headers: Headers
    request: Mapping[str, Any] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """Return a header of the request as the backend saw it."""
        found: str | None = self.request["headers"].get(name.lower())
        return found


class World:
    """What the tests of one module share; names are theirs alone."""

    def __init__(self, bench: Bench, http: aiohttp.ClientSession, stack: AsyncExitStack, settings: Settings) -> None:
        self.bench = bench
        self.http = http
        self.public = "{}:{}".format(*settings.public)
        self.secure = "{}:{}".format(*settings.secure)
        self.local = "{}:{}".format(*settings.local)
        self._stack = stack
        self._numbers = itertools.count()

    def name(self, word: str) -> str:
        return f"{word}-{next(self._numbers)}"

    async def backend(self, answer: Callable[[web.Request], Any], port_name: str = "http") -> str:
        """Serve `answer` behind a Service of its own; return the Service's name."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return await self.service(runner.addresses[0][1], port_name)

    async def runtime(self, suffix: str = "") -> str:
        """Serve the image `runtime`: it tells what it was asked."""

        async def answer(request: web.Request) -> web.Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            body = {"suffix": suffix, "path": request.raw_path, "host": request.host, "headers": headers}
            echoed = {"K-Network-Hash": headers["k-network-hash"]} if "k-network-hash" in headers else {}
            return web.json_response(body, headers=echoed)

        return await self.backend(answer)

    async def service(self, port: int, port_name: str = "http") -> str:
        """Create a Service that leads to a port of the loopback; return its name."""
        name = self.name("backend")
        await self.bench.create(SERVICE, name, {"ports": [{"name": port_name, "port": SERVICE_PORT}]})
        slice_ = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {"name": f"{name}-0", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        }
        await self.bench.api.create(ENDPOINT_SLICE, slice_, "default")
        return name

    async def grpc(self, suffix: str) -> str:
        """Serve the image `grpc-ping`: each message comes back with the suffix."""

        async def ping_stream(messages: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
            async for message in messages:
                yield message + suffix.encode()

        server = grpc.aio.server()
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(ping_stream)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("ping.Ping", {"PingStream": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._stack.push_async_callback(server.stop, 0)
        return await self.service(port, "http2")

    async def websocket(self, suffix: str) -> str:
        """Serve the image `wsserver`: each message comes back with the suffix."""

        async def answer(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_str(f"{message.data} {suffix}")
            return socket

        return await self.backend(answer)

    async def ingress(self, *rules: Object, name: str = "", **spec: Any) -> str:
        """Create a KIngress, or change it, and return its name when it is Ready."""
        if name:
            stored = await self.bench.api.get(KINGRESS, name, "default")
            written = await self.bench.api.replace(KINGRESS, {**stored, "spec": {"rules": list(rules), **spec}})
        else:
            name = self.name("ingress")
            annotations = {"networking.knative.dev/ingress-class": CLASS}
            written = await self.bench.create(KINGRESS, name, {"rules": list(rules), **spec}, annotations=annotations)
        generation = written["metadata"]["generation"]

        def holds(obj: Object) -> bool:
            # The cache may still have the former object, which is Ready.
            return bool(obj["metadata"]["generation"] >= generation and is_ready(obj))

        await self.bench.until(KINGRESS, name, holds)
        return name

    async def get(self, host: str, path: str = "/", *, port: str = "", **headers: str) -> Seen:
        """Send one request to the public listener, or to another `port`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://{port or self.public}{path}"
        async with self.http.get(url, headers={"Host": host, **named}, allow_redirects=False) as response:
            body = await response.read()
            return Seen(response.status, response.headers, json.loads(body) if body[:1] == b"{" else {})

    async def shares(self, host: str, header: str, path: str = "/", *, port: str = "") -> Counter[str]:
        """Send many requests, some at a time; return how many had each value of a header that a split appends."""
        counted: Counter[str] = Counter()

        async def some(count: int) -> None:
            for _ in range(count):
                seen = await self.get(host, path, port=port)
                assert seen.status == 200
                counted[str(seen.header(header))] += 1

        await asyncio.gather(*(some(REQUESTS // AT_ONCE) for _ in range(AT_ONCE)))
        return counted


def split(service: str, percent: int = 100, **headers: str) -> Object:
    out = {"serviceNamespace": "default", "serviceName": service, "servicePort": SERVICE_PORT, "percent": percent}
    return {**out, "appendHeaders": {name.replace("_", "-"): value for name, value in headers.items()}}


def path(*splits: Object, **more: Any) -> Object:
    return {"splits": list(splits), **more}


def rule(hosts: Sequence[str], *paths: Object, visibility: str = "ExternalIP") -> Object:
    return {"hosts": list(hosts), "visibility": visibility, "http": {"paths": list(paths)}}


@asynccontextmanager
async def world(directory: Path, ports: Sequence[int]) -> AsyncIterator[World]:
    """Run control and a gateway on three free ports."""
    public, secure, local = (("127.0.0.1", port) for port in ports)
    settings = Settings(public=public, secure=secure, local=local)
    async with AsyncExitStack() as stack:
        bench = Bench(directory, settings=settings)
        await bench.start()
        stack.push_async_callback(bench.stop)
        file = directory / "gateway.json"
        file.write_text(json.dumps(bootstrap("gateway", "gateway", "127.0.0.1:0", f"127.0.0.1:{bench.port}")))
        gateway = await stack.enter_async_context(data_plane("gateway", file))
        await gateway.hear("listening")
        http = await stack.enter_async_context(aiohttp.ClientSession())
        made = World(bench, http, stack, settings)
        async with asyncio.timeout(WAIT_S):
            while not await _serves(made):
                await asyncio.sleep(0.02)
        yield made


async def _serves(made: World) -> bool:
    try:
        for port in (made.public, made.local):
            await made.get("nobody.test", port=port)
    except aiohttp.ClientError:
        return False
    return True
