"""Small HTTP servers that say who they are and what they were sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def backend(name: str) -> AsyncIterator[tuple[str, int]]:
    """Serve on a free port of the loopback; yield (host, port)."""

    async def answer(request: web.Request) -> web.Response:
        seen = {"name": name, "host": request.host, "path": request.raw_path, "headers": dict(request.headers)}
        return web.json_response({**seen, "fields": list(request.headers.items())})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield str(host), int(port)
    finally:
        await runner.cleanup()
