"""Proxies, tools and libraries of HTTP and WebSocket, heard alike whichever of the four ways lies between."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.component.planes import backend
from tests.component.processes import data_plane, program, until_listening
from tests.peers.envoy import envoy_on
from tests.peers.nginx import nginx
from tests.peers.pairs import cluster, document
from tests.peers.tools import tool
from tests.peers.ways import HTTP1, HTTP2, bootstrap, ways
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

BODY = bytes(range(256)) * 4096
WHERE = "/cart/items?of=Ada&x=%20"
WAYS = ("none", "server", "client", "both")
Ports = Callable[[], int]


async def _echo(request: web.Request) -> web.StreamResponse:
    """Send back the body, chunk by chunk, and in a header what came with it."""
    body = await request.read()
    seen = [request.method, request.raw_path, request.headers.get("x-note", ""), hashlib.sha256(body).hexdigest()]
    answer = web.StreamResponse(status=201, headers={"x-seen": json.dumps(seen)})
    await answer.prepare(request)
    for at in range(0, len(body), 100_000):
        await answer.write(body[at : at + 100_000])
    return answer


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


async def _output(*command: str) -> bytes:
    async with program(*command, stdout=asyncio.subprocess.PIPE) as process, asyncio.timeout(WAIT_S):
        output = (await process.communicate())[0]
    assert process.returncode == 0, (command, process.returncode)
    return output


async def _by_curl(address: str, version: str, file: Path) -> list[str]:
    """Return the status, what the backend has seen, and the body that came back, of a POST by curl."""
    wanted = ("-s", "--max-time", str(WAIT_S), version, "-H", "X-Note: a b", "-H", "Expect:")
    shown = ("-o", str(file.with_suffix(".out")), "-w", "%{http_code} %header{x-seen}")
    told = await _output("curl", *wanted, *shown, "--data-binary", f"@{file}", f"http://{address}{WHERE}")
    return [told.decode(), hashlib.sha256(file.with_suffix(".out").read_bytes()).hexdigest()]


EXPECTED = [
    "201 " + json.dumps(["POST", WHERE, "a b", hashlib.sha256(BODY).hexdigest()]),
    hashlib.sha256(BODY).hexdigest(),
]


def _nginx(pairs: Mapping[int, int], version: str) -> str:
    """Return its servers. It speaks HTTP/2 to others by `grpc_pass` alone, whatever is passed."""
    speaks, passes = " http2", "grpc_pass grpc"
    if version != "HTTP/2":
        speaks, passes = "", 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http'
    return "".join(
        f"server {{ listen 127.0.0.1:{port}{speaks}; location / {{ {passes}://127.0.0.1:{to}; }} }}\n"
        for port, to in pairs.items()
    )


def _haproxy(directory: Path, pairs: dict[int, int], version: str) -> list[str]:
    speaks = " proto h2" if version == "HTTP/2" else ""
    proxies = "".join(
        f"listen on{port}\n  bind 127.0.0.1:{port}{speaks}\n  server one 127.0.0.1:{to}{speaks}\n"
        for port, to in pairs.items()
    )
    file = directory / "haproxy.cfg"
    file.write_text(
        "global\n  maxconn 256\ndefaults\n  mode http\n"
        f"  timeout client 60s\n  timeout server 60s\n  timeout connect 9s\n{proxies}"
    )
    return [tool("haproxy"), "-db", "-q", "-f", str(file)]


def _envoy(directory: Path, pairs: dict[int, int], version: str) -> Path:
    codec: dict[str, Any] = {"http2_protocol_options": {}} if version == "HTTP/2" else {}
    tree: dict[str, Any] = document([], [cluster(str(port), ("127.0.0.1", to), **codec) for port, to in pairs.items()])
    (pattern,) = tree["static_resources"]["listeners"]
    tree["static_resources"]["listeners"] = []
    for port in pairs:
        listener = json.loads(json.dumps(pattern))
        listener["name"] = f"on{port}"
        listener["address"]["socket_address"]["port_value"] = port
        route = {"match": {"prefix": "/"}, "route": {"cluster": str(port)}}
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["route_config"]["virtual_hosts"] = [{"name": "any", "domains": ["*"], "routes": [route]}]
        tree["static_resources"]["listeners"].append(listener)
    file = directory / "envoy.json"
    file.write_text(json.dumps(tree))
    return file


@asynccontextmanager
async def _foreign(kind: str, version: str, directory: Path, pairs: dict[int, int]) -> AsyncIterator[None]:
    """Run a proxy that passes each port of `pairs` on to another."""
    if kind == "envoy":
        async with envoy_on(_envoy(directory, pairs, version)) as envoy:
            for port in pairs:
                assert await envoy.port(f"on{port}") == port
            yield
        return
    if kind == "nginx":
        async with nginx(directory, _nginx(pairs, version), pairs):
            yield
        return
    async with program(*_haproxy(directory, pairs, version)) as process:
        for port in pairs:
            await until_listening(process, port, WAIT_S)
        yield


@pytest.mark.parametrize(
    ("kind", "version"),
    [(kind, version) for kind in ("nginx", "haproxy", "envoy") for version in ("HTTP/1.1", "HTTP/2")],
)
async def test_a_proxy_before_and_behind_hears_the_same_through_no_one_and_two_sidecars(
    kind: str, version: str, tmp_path: Path, unused_tcp_port_factory: Ports
) -> None:
    """curl, the proxy as client of the way, the way, the proxy as its server, and a backend behind all."""
    behind, before = unused_tcp_port_factory(), {way: unused_tcp_port_factory() for way in WAYS}
    file, spoken = tmp_path / "body", "--http2-prior-knowledge" if version == "HTTP/2" else "--http1.1"
    file.write_bytes(BODY)
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(backend(_echo))
        # What a proxy speaks on one side it speaks on the other here, and aiohttp speaks HTTP/1 alone.
        file_of_bridge = bootstrap(tmp_path / "bridge.json", HTTP1, {"bridge": _port(origin)})
        bridge = await stack.enter_async_context(data_plane("sidecar", file_of_bridge))
        last = _port(bridge.addresses["bridge"])
        (inside := tmp_path / "ways").mkdir()
        wire = HTTP2 if version == "HTTP/2" else HTTP1
        addresses = await stack.enter_async_context(ways(inside, wire, behind))
        pairs = {before[way]: _port(address) for way, address in addresses.items()}
        await stack.enter_async_context(_foreign(kind, version, tmp_path, {behind: last, **pairs}))
        for way, port in before.items():
            assert await _by_curl(f"127.0.0.1:{port}", spoken, file) == EXPECTED, way


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge", "nghttp"])
async def test_a_body_sent_by_a_tool_comes_back_through_one_and_two_sidecars(version: str, tmp_path: Path) -> None:
    """aiohttp, which does not speak HTTP/2, is the server: the sidecar beside it is the bridge."""
    file = tmp_path / "body"
    file.write_bytes(BODY)
    async with backend(_echo) as origin, ways(tmp_path, HTTP1, _port(origin)) as addresses:
        straight = ("none",) if version == "--http1.1" else ()
        for way in (*straight, "server", "client", "both"):
            if version == "nghttp":
                assert await _output(tool("nghttp"), "-d", str(file), f"http://{addresses[way]}{WHERE}") == BODY, way
            else:
                assert await _by_curl(addresses[way], version, file) == EXPECTED, way


async def test_websockets_says_and_hears_the_same_through_no_one_and_two_sidecars(tmp_path: Path) -> None:
    async def answer(socket: ServerConnection) -> None:
        async for message in socket:
            if message == "go":
                await socket.close(4001, "as asked: \u00fc")
            else:
                await socket.send(message)

    chosen = [websockets.Subprotocol("v2")]
    async with serve(answer, "127.0.0.1", 0, max_size=2 * len(BODY), subprotocols=chosen) as server:
        port = int(next(iter(server.sockets)).getsockname()[1])
        async with ways(tmp_path, HTTP1, port) as addresses:
            heard = {way: await _conversation(address) for way, address in addresses.items()}
    assert heard["none"] == ["v2", "h\u00e9", BODY, "part by part", 4001, "as asked: \u00fc"]
    for way, said in heard.items():
        assert said == heard["none"], way


async def _conversation(address: str) -> list[object]:
    """Send text, a MiB of bytes compressed, and a message in fragments; be pinged; and be let go with a code."""
    subprotocols = [websockets.Subprotocol("v1"), websockets.Subprotocol("v2")]
    async with (
        asyncio.timeout(WAIT_S),
        connect(f"ws://{address}/chat", max_size=2 * len(BODY), subprotocols=subprotocols) as socket,
    ):
        heard: list[object] = [socket.subprotocol]
        for message in ("h\u00e9", BODY, ["part ", "by ", "part"]):
            await socket.send(message)
            heard.append(await socket.recv())
        await (await socket.ping())
        await socket.send("go")
        await socket.wait_closed()
        return [*heard, socket.close_code, socket.close_reason]
