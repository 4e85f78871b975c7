"""gRPC services of this process, over its engine, called by grpcio's clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.base.tasks import TaskGroup
from eventmesh.protocols.grpc import PREFIX_BYTES, CallFailed, Code
from eventmesh.transport.conversation import ConversationOver
from eventmesh.transport.grpc_service import GrpcService, ServedCall
from eventmesh.xds.control.ports import GrpcPorts, Port
from tests.waiting import WAIT_S

LIMIT = 100_000
METHOD = "/test.S/M"


@asynccontextmanager
async def serving(method: Callable[[ServedCall], Awaitable[None]]) -> AsyncIterator[tuple[GrpcPorts, int]]:
    ports = GrpcPorts(GrpcService({METHOD: method}, LIMIT), SystemClock(), "the test")
    (port,) = await ports.start(Port("127.0.0.1:0"))
    try:
        async with asyncio.timeout(WAIT_S):
            yield ports, port
    finally:
        await ports.stop(finish_s=0.0)


@asynccontextmanager
async def calling(port: int, method: str = METHOD, **terms: Any) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", **terms) as channel:
        yield channel.stream_stream(method)()


async def echo(call: ServedCall) -> None:
    while (message := await call.receive()) is not None:
        await call.send(message[:3], message[3:])


async def test_messages_go_both_ways_and_the_end_is_well() -> None:
    async with serving(echo) as (_, port), calling(port) as call:
        for message in (b"one", b"", b"three"):
            await call.write(message)
            assert await call.read() == message
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_a_message_of_many_pieces_arrives_whole_and_is_told_of_as_it_goes() -> None:
    parts = bytes(70_000), b"x" * 3_000_000
    left: list[int] = []

    async def answer(call: ServedCall) -> None:
        await call.receive()
        await call.send(*parts, on_left=left.append)

    async with serving(answer) as (_, port), calling(port) as call:
        await call.write(b"?")
        assert await call.read() == b"".join(parts)
        assert await call.code() is grpc.StatusCode.OK
    assert len(left) > 100 and sum(left) == PREFIX_BYTES + sum(map(len, parts))


@pytest.mark.parametrize(
    ("code", "message"),
    [(Code.PERMISSION_DENIED, "not you"), (Code.INTERNAL, "100 % dürftig\nzwei Zeilen"), (Code.UNAVAILABLE, "")],
)
async def test_a_status_is_told_letter_by_letter(code: Code, message: str) -> None:
    async def refuse(call: ServedCall) -> None:
        await call.receive()
        raise CallFailed(code, message)

    async with serving(refuse) as (_, port), calling(port) as call:
        await call.write(b"?")
        assert (await call.code()).value[0] == code and await call.details() == message


async def test_a_bug_is_an_internal_error_and_its_words_stay_here(caplog: pytest.LogCaptureFixture) -> None:
    async def stumble(call: ServedCall) -> None:
        await call.receive()
        raise ZeroDivisionError("secret")

    async with serving(stumble) as (_, port), calling(port) as call:
        await call.write(b"?")
        assert (await call.code(), await call.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert "a call failed by a bug" in caplog.text


async def test_what_is_not_there_is_named() -> None:
    async with serving(echo) as (_, port), calling(port, "/test.S/Other") as call:
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
        assert await call.details() == "there is no method /test.S/Other here"


async def test_an_encoding_that_nobody_agreed_on_is_refused() -> None:
    async with serving(echo) as (_, port), calling(port, compression=grpc.Compression.Gzip) as call:
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "encoded as 'gzip'" in await call.details()


async def test_a_message_beyond_the_limit_is_refused_before_it_has_come() -> None:
    async with serving(echo) as (_, port), calling(port) as call:
        await call.write(bytes(LIMIT))
        assert await call.read() == bytes(LIMIT)
        await call.write(bytes(LIMIT + 1))
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await call.details() == f"a message of {LIMIT + 1} bytes; the limit is {LIMIT} bytes"


async def test_what_is_no_call_is_told_so_or_not_listened_to() -> None:
    async with serving(echo) as (_, port), aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"http://127.0.0.1:{port}{METHOD}", data=b"x")


async def test_a_client_that_goes_is_told_to_the_method() -> None:
    over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def wait(call: ServedCall) -> None:
        await call.send(b"here")
        try:
            await call.receive()
        except ConversationOver:
            over.set_result(True)
            raise

    async with serving(wait) as (_, port), calling(port) as call:
        assert await call.read() == b"here"
        call.cancel()
        assert await over


async def test_calls_that_are_open_at_the_end_are_told_of_it() -> None:
    async with serving(echo) as (ports, port), calling(port) as call:
        await call.write(b"one")
        assert await call.read() == b"one"
        await ports.stop(finish_s=0.0)
        assert (await call.code(), await call.details()) == (
            grpc.StatusCode.UNAVAILABLE,
            "the server is shutting down",
        )


async def test_calls_that_can_end_are_let_end() -> None:
    going = asyncio.Event()

    async def answer(call: ServedCall) -> None:
        message = await call.receive()
        await call.send(b"")
        await going.wait()
        await call.send(message or b"")

    async with serving(answer) as (ports, port), calling(port) as call:
        await call.write(b"late")
        await call.read()
        stopping = TaskGroup("test").spawn("stop", ports.stop(finish_s=WAIT_S))
        going.set()
        assert await call.read() == b"late" and await call.code() is grpc.StatusCode.OK
        await stopping
