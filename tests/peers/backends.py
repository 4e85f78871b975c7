"""Small HTTP servers: one that says who it is and what it was sent, and a fast one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.peers.nginx import nginx

LARGE_BYTES = 256 * 1024


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


@asynccontextmanager
async def nginx_backend(directory: Path, port: int, *, http2: bool = False) -> AsyncIterator[str]:
    """Serve with nginx, which slows nobody down: `LARGE_BYTES` at /large, else two bytes. Give its address."""
    large = directory / "large"
    large.write_bytes(bytes(LARGE_BYTES))
    served = f"location /large {{ alias {large}; }} location / {{ return 200 ok; }}"
    many = "keepalive_requests 100000000;"
    spoken = " http2" if http2 else ""
    async with nginx(directory, f"server {{ listen 127.0.0.1:{port}{spoken}; {many} {served} }}", [port]):
        yield f"127.0.0.1:{port}"
