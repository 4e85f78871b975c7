"""Streams of HTTP/1 requests, right and wrong, and servers that say which messages they saw in them."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from tests.peers.envoy import TOOLS
from tests.peers.pairs import cluster, document, pair_on

WAIT_S = 20.0
IDLE_S = 0.4
"""A server that has said nothing for so long waits for more of a message; what it has seen by then is what counts."""

Seen = tuple[str, str, str]
"""Method, path with query, body in hexadecimal."""

_BASES = (
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET http://h/b?q HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /d HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"PUT /f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
    b"GET /g HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    b"DELETE /h HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
)
_LINES = (
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length : 3\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"transfer-encoding: CHUNKED\r\n",
    b" X: folded\r\n",
    b"X: 1\n",
    b"X: a\rContent-Length: 3\r\n",
    b"Host: other\r\n",
)
_BYTES = (b"\r", b"\n", b"\r\n", b"\x00", b" ", b"\t", b":", b";", b",", b"\x0b", b"\x80", b"0", b"5", b"a", b"F")
END = b"GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
"""Ends each stream, so that whoever has understood all of it closes."""


def stream(seed: int) -> bytes:
    """Return one to three requests, changed in up to three places."""
    dice = random.Random(seed)  # noqa: S311  # a test's own dice
    text = b"".join(dice.choice(_BASES) for _ in range(dice.randint(1, 3)))
    for _ in range(dice.randint(0, 3)):
        at = dice.randrange(len(text))
        match dice.randrange(5):
            case 0:
                text = text[:at] + dice.choice(_BYTES) + text[at:]
            case 1:
                text = text[:at] + text[at + 1 :]
            case 2:
                text = text[:at] + dice.choice(_BYTES) + text[at + 1 :]
            case _:
                ends = [found.end() for found in re.finditer(rb"\r\n", text)]
                at = dice.choice(ends)
                text = text[:at] + dice.choice(_LINES) + text[at:]
    return text + END


@dataclass(frozen=True)
class Reader:
    """A server, or a proxy before one, that tells of each request by an answer."""

    name: str
    address: str | int
    """A unix socket's path, or a port."""

    async def sees(self, sent: bytes) -> list[Seen]:
        """Return the requests it took out of a stream, in order."""
        opening = (
            asyncio.open_unix_connection(self.address)
            if isinstance(self.address, str)
            else asyncio.open_connection("127.0.0.1", self.address)
        )
        reader, writer = await opening
        said = b""
        try:
            writer.write(sent)
            while True:
                async with asyncio.timeout(IDLE_S):
                    piece = await reader.read(65_536)
                if not piece:
                    break
                said += piece
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
        found = []
        for match in re.findall(rb"@@(\{.*?\})@@", said):
            row = json.loads(match)
            parts = urlsplit(row["p"])
            found.append((row["m"], (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), row["b"]))
        return found


async def _echo(request: web.Request) -> web.Response:
    body = await request.read()
    row = {"m": request.method, "p": request.raw_path, "b": body.hex()}
    return web.Response(body=b"@@" + json.dumps(row).encode() + b"@@")


_NODE = """
require('http').createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const row = {m: request.method, p: request.url, b: Buffer.concat(pieces).toString('hex')};
    response.end('@@' + JSON.stringify(row) + '@@');
  });
}).listen(process.argv[2]);
"""
_NGINX = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{
    listen unix:{dir}/nginx.sock;
    location / {{ proxy_http_version 1.1; proxy_pass http://127.0.0.1:{port}; }}
  }}
}}
"""
_HAPROXY = """
global
  maxconn 512
defaults
  mode http
  timeout client 20s
  timeout server 20s
  timeout connect 5s
frontend in
  bind unix@{dir}/haproxy.sock
  default_backend up
backend up
  server one 127.0.0.1:{port}
"""


def _find(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=f"{TOOLS}:/usr/sbin:/usr/local/sbin")
    assert found, f"{name} is neither on PATH nor in {TOOLS}; run `make peers`"
    return found


@asynccontextmanager
async def readers(directory: Path) -> AsyncIterator[tuple[Reader, list[Reader]]]:
    """Give eventmesh, and the others: Envoy, HAProxy and nginx before one server, that server, and Node's."""
    async with AsyncExitStack() as stack:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", _echo)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = int(runner.addresses[0][1])
        host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}
        pair = await stack.enter_async_context(
            pair_on(document([host], [cluster("up", ("127.0.0.1", port))]), directory)
        )
        (directory / "server.js").write_text(_NODE)
        (directory / "nginx.conf").write_text(_NGINX.format(dir=directory, port=port))
        (directory / "haproxy.cfg").write_text(_HAPROXY.format(dir=directory, port=port))
        others = [Reader("envoy", pair.envoy.port), Reader("aiohttp", port)]
        for name, command in (
            ("nginx", [_find("nginx"), "-c", str(directory / "nginx.conf")]),
            ("haproxy", [_find("haproxy"), "-db", "-q", "-f", str(directory / "haproxy.cfg")]),
            ("node", [_find("node"), str(directory / "server.js"), str(directory / "node.sock")]),
        ):
            process = await asyncio.create_subprocess_exec(*command)
            stack.push_async_callback(process.wait)
            stack.callback(process.kill)
            socket = directory / f"{name}.sock"
            async with asyncio.timeout(WAIT_S):
                while not socket.exists():
                    assert process.returncode is None, f"{name} ended"
                    await asyncio.sleep(0.02)
            others.append(Reader(name, str(socket)))
        yield Reader("eventmesh", pair.mesh.port), others
