"""Software that others wrote calls through gateways that are restarted under it, and sees no failure."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.component.fleet import Fleet, at_port, ended
from tests.component.processes import write_bootstrap
from tests.peers.backends import nginx_backend
from tests.peers.calls import Calls, h2load
from tests.peers.grpc_echo import METHOD, echo_server
from tests.peers.nginx import nginx
from tests.peers.sofabolt import caller, service
from tests.peers.test_sofabolt import HELLO
from tests.peers.test_sofabolt import bootstrap as bolt_bootstrap

IS_SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
RESTARTS = 10 if IS_SOAK else 2
REQUESTS = 500_000 if IS_SOAK else 50_000
"""At least so many in all: before, between and after the restarts."""
MESSAGES = 50_000
"""The same for grpcio, which itself carries a few thousand a second: half a minute each way on a busy machine."""
WAIT_S = 900 if IS_SOAK else 400

pytestmark = [pytest.mark.peer, pytest.mark.timeout(WAIT_S + 30)]
each_way = pytest.mark.parametrize("workers", [1, 2])
"""One process follows one, or several workers several."""


async def restart_under(
    call: Callable[[], Awaitable[int]], fleet: Fleet, workers: int, requests: int = REQUESTS
) -> None:
    """Restart the gateway again and again while `call` is called without a pause, `requests` times or more."""
    calls, each = Calls(call), requests // (RESTARTS + 1) + 1
    async with AsyncExitStack() as stack:
        stack.push_async_callback(calls.stop)
        async with asyncio.timeout(WAIT_S):
            serving = await stack.enter_async_context(fleet.next(workers))
            calls.start()
            for _ in range(RESTARTS):
                await calls.more(each)
                successor = await stack.enter_async_context(fleet.next(workers))
                assert await ended(serving) == 0
                serving = successor
            await calls.more(each)
            # Before the last gateway is killed at the end of the block.
            await calls.stop()


@each_way
async def test_h2load_sees_no_failure(workers: int, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> None:
    """In HTTP/1.1: over HTTP/2 it fails whatever it has not sent yet when it is told GOAWAY."""
    gateway, server = unused_tcp_port_factory(), unused_tcp_port_factory()
    async with nginx_backend(tmp_path, server) as upstream:
        fleet = Fleet(at_port(write_bootstrap(tmp_path / "b.json", upstream), gateway), tmp_path / "s")
        await restart_under(functools.partial(h2load, gateway, "-m", "1", "--h1"), fleet, workers)


@each_way
async def test_nginx_that_speaks_http2_with_us_sees_no_failure(
    workers: int, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    """It keeps its connections, is told GOAWAY on them, and may not try anything twice."""
    front, gateway, server = (unused_tcp_port_factory() for _ in range(3))
    kept = f"upstream gateway {{ server 127.0.0.1:{gateway}; keepalive 16; keepalive_requests 100000000; }}\n"
    passed = "location / { grpc_pass grpc://gateway; grpc_next_upstream off; }"
    proxy = f"{kept}server {{ listen 127.0.0.1:{front}; keepalive_requests 100000000; {passed} }}\n"
    (beside := tmp_path / "front").mkdir()
    async with nginx_backend(tmp_path, server) as upstream, nginx(beside, proxy, [front]):
        fleet = Fleet(at_port(write_bootstrap(tmp_path / "b.json", upstream), gateway), tmp_path / "s")
        await restart_under(functools.partial(h2load, front, "-m", "1", "--h1"), fleet, workers)


@each_way
async def test_java_callers_of_bolt_see_no_failure(
    workers: int, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    gateway, server = unused_tcp_port_factory(), unused_tcp_port_factory()
    fleet = Fleet(at_port(bolt_bootstrap(tmp_path / "b.json", server), gateway), tmp_path / "s")
    async with service(server), caller(f"127.0.0.1:{gateway}", HELLO) as java:

        async def many() -> int:
            assert await java.ask("many 500") == "OK 500/500"
            return 500

        await restart_under(many, fleet, workers)


@each_way
async def test_streams_of_grpcio_see_no_failure(workers: int, tmp_path: Path, unused_tcp_port: int) -> None:
    async with echo_server() as address, grpc.aio.insecure_channel(f"127.0.0.1:{unused_tcp_port}") as channel:
        file = at_port(write_bootstrap(tmp_path / "b.json", address, http2=True), unused_tcp_port)
        fleet = Fleet(file, tmp_path / "s")
        method: Any = channel.stream_stream(METHOD)

        async def stream() -> int:
            sent = [b"%d" % number for number in range(100)]
            assert [message async for message in method(iter(sent))] == sent
            return len(sent)

        await restart_under(stream, fleet, workers, MESSAGES)
