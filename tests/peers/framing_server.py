"""aiohttp's server as one of those that are compared: `python -m tests.peers.framing_server SOCKET`."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

import uvloop
from aiohttp import web


async def _echo(request: web.Request) -> web.Response:
    body = await request.read()
    row = {"m": request.method, "p": request.raw_path, "b": body.hex()}
    return web.Response(body=b"@@" + json.dumps(row).encode() + b"@@")


async def _serve(path: str) -> None:
    logging.disable(logging.ERROR)  # it tells of every stream that it refuses
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path, backlog=1_024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
