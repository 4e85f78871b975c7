"""gRPC calls of this process, through its engine, to servers that grpcio runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from eventmesh.protocols.grpc import CallFailed, Code
from eventmesh.transport.grpc_call import GrpcCall
from tests.component.planes import backend, running
from tests.waiting import WAIT_S

LIMIT = 32 * 1024 * 1024
Handler = Callable[[grpc.aio.ServicerContext[bytes, bytes]], Any]


@asynccontextmanager
async def calls_to(address: str) -> AsyncIterator[Callable[[], GrpcCall]]:
    route = Route(RouteMatch("/"), Forward((WeightedCluster("server"),), timeout_s=0))
    server = Cluster("server", (Endpoint(address),), protocol=WireProtocol.HTTP2)
    snapshot = Snapshot("1", (), (RouteTable("t", (VirtualHost("any", ("*",), (route,)),)),), (server,))
    async with running(snapshot) as plane, asyncio.timeout(WAIT_S):
        yield lambda: GrpcCall.open(plane.caller, "t", address, "/test.S/M", [("x-a", "b")], max_message_bytes=LIMIT)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Callable[[], GrpcCall]]:
    """Run a server whose only method, with messages both ways, is `handler`; give what opens calls of it."""

    async def handle(_: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await handler(context)

    server = grpc.aio.server(options=[("grpc.max_receive_message_length", LIMIT)])
    methods: dict[str, Any] = {"M": grpc.stream_stream_rpc_method_handler(handle)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.S", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with calls_to(f"127.0.0.1:{port}") as opened:
            yield opened
    finally:
        await server.stop(None)


async def echo(context: Any) -> None:
    while (message := await context.read()) is not grpc.aio.EOF:
        await context.write(message)


async def test_messages_of_any_size_go_both_ways_in_order() -> None:
    # The largest is a hundred windows: credit comes back on both sides.
    sent = [b"", b"a", b"b" * 70_000, b"c" * (16 * 1024 * 1024)]
    async with serving(echo) as opened:
        call = opened()
        for message in sent:
            await call.send(message)
            assert await call.receive() == message
        await call.send(b"last", last=True)
        assert (await call.receive(), await call.receive()) == (b"last", None)


async def test_a_message_beyond_the_limit_ends_the_call() -> None:
    async def large(context: Any) -> None:
        await context.write(b"x" * (LIMIT + 1))

    async with serving(large) as opened:
        with pytest.raises(CallFailed, match=f"the limit is {LIMIT} bytes"):
            await opened().receive()


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "after a message"])
async def test_the_servers_status_and_words_reach_the_caller(begun: bool) -> None:
    async def refuse(context: Any) -> None:
        if begun:
            await context.write(b"one")
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "zu viel: 100 %")

    async with serving(refuse) as opened:
        call = opened()
        if begun:
            assert await call.receive() == b"one"
        with pytest.raises(CallFailed) as caught:
            await call.receive()
        assert (caught.value.code, caught.value.message) == (Code.RESOURCE_EXHAUSTED, "zu viel: 100 %")


async def test_metadata_arrives_and_the_user_agent_is_ours() -> None:
    async def tell(context: Any) -> None:
        fields = dict(context.invocation_metadata())
        await context.write(f"{fields['x-a']} {fields['user-agent'].split('/')[0]}".encode())

    async with serving(tell) as opened:
        assert await opened().receive() == b"b eventmesh"


async def test_a_cancelled_call_ends_at_the_server_and_for_who_waits() -> None:
    ended = asyncio.Event()

    async def wait(context: Any) -> None:
        try:
            await context.write(b"here")
            await context.read()
        finally:
            ended.set()

    async with serving(wait) as opened:
        call = opened()
        assert await call.receive() == b"here"
        asyncio.get_running_loop().call_soon(call.cancel)
        with pytest.raises(CallFailed, match="cancelled"):
            await call.receive()
        await ended.wait()
        await call.send(b"into the void")


async def test_a_server_that_is_not_there_is_unavailable(unused_tcp_port: int) -> None:
    async with calls_to(f"127.0.0.1:{unused_tcp_port}") as opened:
        with pytest.raises(CallFailed) as caught:
            await opened().receive()
        assert caught.value.code is Code.UNAVAILABLE


async def test_a_server_that_speaks_no_http2_is_told_apart() -> None:
    async with backend() as address, calls_to(address) as opened:
        with pytest.raises(CallFailed, match="protocol_error"):
            await opened().receive()
