"""SIGTERM under software that others wrote: whatever it has in flight is answered, then the gateway ends."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web

from tests.component.fleet import at_port, ended
from tests.component.planes import ask, backend
from tests.component.processes import DataPlaneProcess, data_plane, program, write_bootstrap
from tests.peers.grpc_echo import METHOD, echo_server
from tests.peers.sofabolt import caller, service
from tests.peers.test_sofabolt import HELLO, bootstrap
from tests.peers.tools import tool
from tests.waiting import END_WAIT_S

pytestmark = pytest.mark.peer

CONNECTIONS = 8


async def active(gateway: DataPlaneProcess) -> int:
    """Return how many requests are on their way to the service."""
    page = (await ask(gateway.addresses["admin"], "/stats")).body.decode()
    return sum(
        int(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line.startswith("envoy_cluster_upstream_rq_active")
    )


@pytest.mark.parametrize("flags", [("--h1",), ("--no-tls-proto=h2c", "-m", "1")], ids=["http1", "http2"])
async def test_h2load_gets_every_answer_that_it_waits_for(flags: tuple[str, ...], tmp_path: Path) -> None:
    h2load = tool("h2load")
    waiting, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        waiting.release()
        await go_on.wait()
        return web.Response(text="whole")

    async with (
        backend(slow) as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream)) as gateway,
        asyncio.timeout(END_WAIT_S),
        AsyncExitStack() as stack,
    ):
        words = ("-n", str(CONNECTIONS), "-c", str(CONNECTIONS), *flags, f"http://{gateway.addresses['edge']}/")
        process = await stack.enter_async_context(program(h2load, *words, stdout=asyncio.subprocess.PIPE))
        for _ in range(CONNECTIONS):
            await waiting.acquire()
        gateway.process.send_signal(signal.SIGTERM)
        go_on.set()
        output = (await process.communicate())[0].decode()
        found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", output)
        assert found is not None and found.groups() == (str(CONNECTIONS), "0", "0"), output
        assert await ended(gateway) == 0


async def test_a_stream_of_grpcio_goes_on_to_its_end_and_no_new_one_begins(tmp_path: Path) -> None:
    async with echo_server() as address, AsyncExitStack() as stack:
        file = write_bootstrap(tmp_path / "b.json", address, http2=True)
        gateway = await stack.enter_async_context(data_plane("gateway", file))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(gateway.addresses["edge"]))
        async with asyncio.timeout(END_WAIT_S):
            method: Any = channel.stream_stream(METHOD)
            stream = method()
            await stream.write(b"before")
            assert await stream.read() == b"before"
            gateway.process.send_signal(signal.SIGTERM)
            # GOAWAY has come when the channel no longer uses its connection, and nobody takes another.
            with pytest.raises(grpc.aio.AioRpcError):
                while True:
                    assert [message async for message in method(iter([b"new"]))] == [b"new"]
            await stream.write(b"after")
            assert await stream.read() == b"after"
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF
            assert await stream.code() is grpc.StatusCode.OK
            assert await ended(gateway) == 0


async def test_java_callers_of_bolt_get_every_answer_that_they_wait_for(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    port, server = unused_tcp_port_factory(), unused_tcp_port_factory()
    file = at_port(bootstrap(tmp_path / "b.json", server), port)
    async with (
        service(server),
        data_plane("gateway", file) as gateway,
        caller(f"127.0.0.1:{port}", HELLO) as java,
        caller(f"127.0.0.1:{port}", HELLO) as other,
    ):
        async with asyncio.timeout(END_WAIT_S):
            for each in (java, other):
                assert await each.ask("sync 20000 Ada") == "OK hello Ada"
            waiting = asyncio.gather(java.ask("sync 20000 sleep 1000"), other.ask("sync 20000 sleep 1000"))
            while await active(gateway) < 2:
                await asyncio.sleep(0.01)
            gateway.process.send_signal(signal.SIGTERM)
            assert [answer.split()[0] for answer in await waiting] == ["OK"] * 2, waiting
            assert await ended(gateway) == 0
            assert (await java.ask("sync 3000 Ada")).startswith("ERROR")
