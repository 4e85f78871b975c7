"""Envoy and eventmesh on one bootstrap, each before a scripted server of its own, asked the same at the same time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from eventmesh.base.clock import SystemClock
from eventmesh.dataplane.plane import DataPlane
from eventmesh.xds.bootstrap import load_bootstrap
from tests.peers.envoy import Envoy, envoy_on

TYPES = "type.googleapis.com/envoy.extensions"
ASKER = "x-asker"
"""Request header that tells a scripted server which proxy asks, so that each meets the same script from its start."""


@dataclass
class Scripted:
    """A server whose paths say how it behaves, counted for each asker.

    `/fail/STATUS/N`: the first N requests get STATUS; `/cut/N`: the first N connections are cut without an answer;
    `/slow/S`: answers after S seconds; `/held`: answers once `released`; anything else: 200 with what was sent.
    """

    name: str
    address: tuple[str, int] = ("", 0)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(asker, path) -> requests."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key = (request.headers.get(ASKER, ""), request.path)
        self.asked[key] += 1
        body = await request.read()
        match request.path.strip("/").split("/"):
            case ["fail", status, times] if self.asked[key] <= int(times):
                return web.Response(status=int(status), text="failed")
            case ["cut", times] if self.asked[key] <= int(times):
                assert request.transport is not None
                request.transport.abort()
            case ["held"]:
                await self.released.wait()
            case ["slow", seconds]:
                await asyncio.sleep(float(seconds))
        return web.json_response({"name": self.name, "body": body.decode(), "headers": dict(request.headers)})


@asynccontextmanager
async def scripted(name: str) -> AsyncIterator[Scripted]:
    """Serve on a free port of the loopback."""
    server = Scripted(name)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.address = (str(host), int(port))
        yield server
    finally:
        await runner.cleanup()


@dataclass
class Answer:
    """What a proxy answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def seen(self) -> dict[str, Any]:
        """What the server saw."""
        seen: dict[str, Any] = json.loads(self.text)
        return seen


@dataclass
class Proxy:
    """One of the two."""

    name: str
    port: int
    http: aiohttp.ClientSession

    async def ask(
        self,
        path: str,
        *,
        host: str = "h",
        method: str = "GET",
        body: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for `path` and return the whole answer."""
        fields = {"Host": host, ASKER: self.name, **(headers or {})}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.http.request(method, url, headers=fields, data=body or None, allow_redirects=False) as response:
            return Answer(response.status, response.headers.copy(), await response.text())


@dataclass
class Pair:
    """Both proxies, and how to look into them."""

    envoy: Proxy
    mesh: Proxy
    admin: Envoy
    plane: DataPlane

    @property
    def both(self) -> tuple[Proxy, Proxy]:
        return self.envoy, self.mesh

    async def counters(self, cluster: str, names: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Return what Envoy and what eventmesh have counted of a cluster under `names`."""
        by_envoy = {name: await self.admin.counter(f"cluster.{cluster}.{name}") for name in names}
        rows = json.loads(self.plane.engine.stats())
        counted = {
            name.removeprefix("envoy_cluster_"): value
            for name, labels, value in [*rows["counters"], *rows["gauges"]]
            if labels.get("envoy_cluster_name") == cluster and "envoy_response_code_class" not in labels
        }
        return by_envoy, {name: counted[name.replace(".", "_")] for name in names}


def address(host: str, port: int) -> dict[str, Any]:
    """Return a `core.Address`."""
    return {"socket_address": {"address": host, "port_value": port}}


def cluster(name: str, *addresses: tuple[str, int], **fields: Any) -> dict[str, Any]:
    """Return a static cluster."""
    endpoints = [{"endpoint": {"address": address(*one)}} for one in addresses]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        **fields,
    }


def document(
    virtual_hosts: list[dict[str, Any]],
    clusters: list[dict[str, Any]],
    *,
    filters: Sequence[dict[str, Any]] = (),
    **manager_fields: Any,
) -> dict[str, Any]:
    """Return a bootstrap with one listener `in`."""
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"name": "all", "virtual_hosts": virtual_hosts},
        "http_filters": [
            *filters,
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router", "suppress_envoy_headers": True},
            },
        ],
        **manager_fields,
    }
    listener = {
        "name": "in",
        "address": address("127.0.0.1", 0),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {
        "node": {"id": "peer", "cluster": "peer"},
        "admin": {"address": address("127.0.0.1", 0)},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


@asynccontextmanager
async def pair_on(bootstrap: dict[str, Any], directory: Path) -> AsyncIterator[Pair]:
    """Start both on `bootstrap`, which eventmesh must take without a warning; stop both at the end."""
    config = directory / "bootstrap.json"
    config.write_text(json.dumps(bootstrap))
    async with AsyncExitStack() as stack:
        plane = DataPlane(SystemClock(), {})
        stack.push_async_callback(plane.stop)
        await plane.start()
        loaded = load_bootstrap(config)
        assert loaded.warnings == ()
        await plane.apply(loaded.snapshot)
        admin = await stack.enter_async_context(envoy_on(config))
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        port = int(plane.addresses()["in"].rpartition(":")[2])
        yield Pair(Proxy("envoy", await admin.port("in"), http), Proxy("mesh", port, http), admin, plane)
