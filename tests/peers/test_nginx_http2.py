"""nginx speaks HTTP/2 with us on either side: gRPC through both, trailers, and GOAWAY when it reloads."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.component.processes import data_plane, program, write_bootstrap
from tests.component.test_grpc_through_sidecar import CartService, serving
from tests.peers.calls import Calls, h2load
from tests.peers.nginx import nginx
from tests.peers.test_four_ways_grpc import SAID, by_grpcio
from tests.peers.tools import tool
from tests.peers.ways import HTTP2, ways

pytestmark = pytest.mark.peer

RELOADS = 10
Ports = Callable[[], int]


def _passing(port: int, to: int) -> str:
    return f"server {{ listen 127.0.0.1:{port} http2; location / {{ grpc_pass grpc://127.0.0.1:{to}; }} }}\n"


async def test_grpc_is_answered_alike_with_nginx_before_and_behind_no_one_and_two_sidecars(
    tmp_path: Path, unused_tcp_port_factory: Ports
) -> None:
    behind = unused_tcp_port_factory()
    async with AsyncExitStack() as stack:
        origin = int((await stack.enter_async_context(serving(CartService()))).rpartition(":")[2])
        (inside := tmp_path / "ways").mkdir()
        addresses = await stack.enter_async_context(ways(inside, HTTP2, behind))
        before = {way: unused_tcp_port_factory() for way in addresses}
        pairs = {behind: origin, **{before[way]: int(to.rpartition(":")[2]) for way, to in addresses.items()}}
        servers = "".join(_passing(port, to) for port, to in pairs.items())
        await stack.enter_async_context(nginx(tmp_path, servers, pairs))
        straight = await by_grpcio(f"127.0.0.1:{origin}")
        assert len(straight) == len(SAID) and straight[-1].endswith("cart 100% full: ü")
        for way, port in before.items():
            assert await by_grpcio(f"127.0.0.1:{port}") == straight, way


async def test_trailers_of_nginx_are_heard_through_no_one_and_two_sidecars(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    answer = "return 200 whole; add_header x-head one; add_trailer x-tail two;"
    server = f"server {{ listen 127.0.0.1:{unused_tcp_port} http2; location / {{ {answer} }} }}"
    async with nginx(tmp_path, server, [unused_tcp_port]), ways(tmp_path, HTTP2, unused_tcp_port) as addresses:
        for way, address in addresses.items():
            assert await _heard(f"http://{address}/") == ["x-head: one", "DATA", "x-tail: two"], way


async def _heard(url: str) -> list[str]:
    """Return the fields of ours that nghttp hears, and where between them the body is."""
    async with program(tool("nghttp"), "-v", url, stdout=asyncio.subprocess.PIPE) as process:
        told = (await process.communicate())[0].decode()
    return re.findall(r"x-[a-z]+: [a-z]+|(?<=recv )DATA", told)


async def test_no_request_fails_while_nginx_behind_us_reloads(tmp_path: Path, unused_tcp_port: int) -> None:
    """It says GOAWAY on every connection of a worker that goes, on each for itself, and takes no stream after that."""
    server = f"server {{ listen 127.0.0.1:{unused_tcp_port} http2; location / {{ return 200 ok; }} }}"
    file = write_bootstrap(tmp_path / "b.json", f"127.0.0.1:{unused_tcp_port}", http2=True)
    async with nginx(tmp_path, server, [unused_tcp_port]) as behind, data_plane("sidecar", file) as sidecar:
        front = int(sidecar.addresses["edge"].rpartition(":")[2])
        # More streams than nginx takes on one connection (128).
        calls = Calls(functools.partial(h2load, front, "-m", "32"))
        calls.start()
        try:
            for _ in range(RELOADS):
                await calls.more(1)
                await behind.reload()
            await calls.more(1)
        finally:
            await calls.stop()
