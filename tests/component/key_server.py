"""An issuer's key set on a real port, over http or https, that changes as tests say."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class KeyServer:
    """What it answers, where it is, and how often it was asked."""

    body: bytes
    status: int = 200
    address: str = ""
    asked: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    """Until then it is silent."""

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        await self.may_answer.wait()
        return web.Response(status=self.status, body=self.body, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def key_server(text: str, context: ssl.SSLContext | None = None) -> AsyncIterator[KeyServer]:
    """Serve `text` at every path of a free port of the loopback."""
    server = KeyServer(text.encode())
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        server.address = f"{'https' if context else 'http'}://localhost:{runner.addresses[0][1]}/keys"
        yield server
    finally:
        await runner.cleanup()
