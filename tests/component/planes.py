"""A data plane in the test's own process, with aiohttp as the other software at both of its ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from eventmesh.base.clock import SystemClock
from eventmesh.dataplane.plane import DataPlane, Networks
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Forward, Route, RouteTable, Serve, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tracing import Traffic
from eventmesh.transport.exchange import ExchangeHandler

LOOPBACK = "127.0.0.1:0"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


async def echo(request: web.Request) -> web.Response:
    """Return the request's body, and what the backend saw in headers of the answer."""
    body = await request.read()
    return web.Response(body=body, headers={"x-path": request.path_qs, "x-host": request.host})


@asynccontextmanager
async def backend(answer: Answer = echo, address: str = LOOPBACK) -> AsyncIterator[str]:
    """Serve with aiohttp; give the address to dial."""
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01)  # 0 would mean for ever
    await runner.setup()
    site: web.BaseSite
    if address.startswith("unix:"):
        site = web.UnixSite(runner, address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        # Hundreds may connect at once.
        site = web.TCPSite(runner, host, int(port), backlog=1024)
    await site.start()
    try:
        yield address if address.startswith("unix:") else "{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


def proxy(
    upstream: str, *, name: str = "edge", address: str = LOOPBACK, version: str = "1", traffic: Traffic = Traffic.NONE
) -> Snapshot:
    """Return a snapshot that forwards everything from one listener to one endpoint."""
    route = Route(RouteMatch("/"), Forward((WeightedCluster("backend"),), timeout_s=0))
    return Snapshot(
        version,
        (Listener(name, address, "all", protocol=WireProtocol.HTTP1, traffic=traffic),),
        (RouteTable("all", (VirtualHost("any", ("*",), (route,)),)),),
        (Cluster("backend", (Endpoint(upstream),)),),
    )


def serving(handler: str, *, max_body_bytes: int = 1_048_576) -> Snapshot:
    """Return a snapshot whose one listener hands everything to `handler`."""
    route = Route(RouteMatch("/"), Serve(handler, max_body_bytes))
    return Snapshot(
        "1",
        (Listener("edge", LOOPBACK, "all", protocol=WireProtocol.HTTP1),),
        (RouteTable("all", (VirtualHost("any", ("*",), (route,)),)),),
    )


@asynccontextmanager
async def running(
    snapshot: Snapshot,
    handlers: Mapping[str, ExchangeHandler] | None = None,
    networks: Networks | None = None,
) -> AsyncIterator[DataPlane]:
    """Run a data plane with `snapshot` in force."""
    plane = DataPlane(SystemClock(), handlers or {}, networks=networks)
    try:
        await plane.start()
        await plane.apply(snapshot)
        yield plane
    finally:
        await plane.stop()


async def ask(
    address: str,
    path: str = "/",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Reply:
    """Send one request on a connection of its own and return the whole answer."""
    unix = address.startswith("unix:")
    connector = aiohttp.UnixConnector(address.removeprefix("unix:")) if unix else aiohttp.TCPConnector()
    url = f"http://{'unix' if unix else address}{path}"
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, url, headers=headers, data=body, allow_redirects=False) as response,
    ):
        return Reply(response.status, response.headers, await response.read())
