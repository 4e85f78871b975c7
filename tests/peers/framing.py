"""eventmesh and five other servers that say which messages they saw, each in processes of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.component.processes import data_plane, program
from tests.peers.envoy import envoy_on
from tests.peers.framing_reader import Reader
from tests.peers.pairs import cluster, document
from tests.peers.tools import tool
from tests.waiting import WAIT_S

_NODE = """
const server = require('http').createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const row = {m: request.method, p: request.url, b: Buffer.concat(pieces).toString('hex')};
    response.end('@@' + JSON.stringify(row) + '@@');
  });
});
// Connections to it are kept by proxies: none is to end under a request.
server.keepAliveTimeout = 0;
server.listen({path: process.argv[2], backlog: 1024});
"""
_NGINX = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  upstream up {{ server unix:{backend}; keepalive 64; }}
  server {{
    listen unix:{dir}/nginx.sock backlog=1024;
    location / {{ proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://up; }}
  }}
}}
"""
_HAPROXY = """
global
  maxconn 4096
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 60s
frontend in
  bind unix@{dir}/haproxy.sock
  default_backend up
backend up
  server one unix@{backend}
"""


def _bootstrap(directory: Path, name: str, backend: Path) -> Path:
    """Write the bootstrap of a proxy that listens at NAME.sock; return its path."""
    host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}
    tree: dict[str, Any] = document([host], [cluster("up", ("127.0.0.1", 1))])
    (listener,) = tree["static_resources"]["listeners"]
    listener["address"] = {"pipe": {"path": str(directory / f"{name}.sock")}}
    (group,) = tree["static_resources"]["clusters"][0]["load_assignment"]["endpoints"]
    group["lb_endpoints"] = [{"endpoint": {"address": {"pipe": {"path": str(backend)}}}}]
    inside = directory / name
    inside.mkdir()
    file = inside / "bootstrap.json"
    file.write_text(json.dumps(tree))
    return file


@asynccontextmanager
async def readers(directory: Path) -> AsyncIterator[tuple[Reader, list[Reader]]]:
    """Give eventmesh, and the others: Envoy, HAProxy and nginx before one server of Node's, aiohttp, and Node's."""
    async with AsyncExitStack() as stack:
        (directory / "server.js").write_text(_NODE)
        sockets = {name: directory / f"{name}.sock" for name in ("backend", "node", "aiohttp", "nginx", "haproxy")}
        backend = sockets["backend"]
        (directory / "nginx.conf").write_text(_NGINX.format(dir=directory, backend=backend))
        (directory / "haproxy.cfg").write_text(_HAPROXY.format(dir=directory, backend=backend))
        node = [tool("node"), str(directory / "server.js")]
        for name, command in (
            ("backend", [*node, str(backend)]),
            ("node", [*node, str(sockets["node"])]),
            ("aiohttp", [sys.executable, "-m", "tests.peers.framing_server", str(sockets["aiohttp"])]),
            ("nginx", [tool("nginx"), "-c", str(directory / "nginx.conf")]),
            ("haproxy", [tool("haproxy"), "-db", "-q", "-f", str(directory / "haproxy.cfg")]),
        ):
            process = await stack.enter_async_context(program(*command))
            async with asyncio.timeout(WAIT_S):
                while not sockets[name].exists():
                    assert process.returncode is None, f"{name} ended"
                    await asyncio.sleep(0.02)
        await stack.enter_async_context(envoy_on(_bootstrap(directory, "envoy", backend)))
        ours = await stack.enter_async_context(data_plane("gateway", _bootstrap(directory, "eventmesh", backend)))
        assert not [line for line in ours.lines if line.get("msg") == "bootstrap"], "a warning"
        names = ("eventmesh", "envoy", "aiohttp", "nginx", "haproxy", "node")
        found, *others = (Reader(name, str(directory / f"{name}.sock")) for name in names)
        yield found, others
