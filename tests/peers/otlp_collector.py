"""A collector of spans that the traced send to over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.otlp import Span, read_request
from tests.waiting import WAIT_S


class Collector:
    """OTLP over HTTP: what came."""

    def __init__(self) -> None:
        self.address = ("", 0)
        self.spans: list[Span] = []

    async def handle(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf" and request.path == "/v1/traces"
        self.spans += read_request(await request.read())
        return web.Response(content_type="application/x-protobuf")

    async def span(self, own: str) -> Span:
        """Return the span with this id, once it is there."""
        async with asyncio.timeout(WAIT_S):
            while not (found := [span for span in self.spans if span.span == own]):
                await asyncio.sleep(0.05)
        return found[0]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Listen on a free port of the loopback."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/{path:.*}", collector.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        collector.address = (str(host), int(port))
        yield collector
    finally:
        await runner.cleanup()
