"""The certificate port, at which everybody may knock: who says nothing keeps nobody else from a certificate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.xds.control.certificate_server import MAX_CALLS, MESSAGE_S, METHOD, SERVICE, CertificateServer
from eventmesh.xds.control.certification import Certification
from eventmesh.xds.control.metrics import Metrics
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.issuer import CONTROL_HOST, Identities
from eventmesh.xds.identity.roots import RootFiles
from tests.waiting import WAIT_S

A_CONNECTION = 64
"""Silent calls on each; grpcio would hold back those beyond the server's bound of streams."""


class NobodysTokens:
    """Is not asked: a call without a token is refused before."""

    async def subject(self, token: str, audience: str) -> str:
        raise AssertionError(f"asked whose token for {audience} that is")


class World:
    """A certificate server, and the connections to it."""

    def __init__(self, port: int, roots: bytes, connections: AsyncExitStack) -> None:
        self._target = f"127.0.0.1:{port}"
        self._credentials = grpc.ssl_channel_credentials(roots)
        self._connections = connections

    async def connection(self) -> grpc.aio.Channel:
        # Each channel has a connection of its own: grpcio shares those of equal options.
        options = [("grpc.ssl_target_name_override", CONTROL_HOST), ("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.aio.secure_channel(self._target, self._credentials, options)
        return await self._connections.enter_async_context(channel)


def call_on(connection: grpc.aio.Channel) -> Any:
    """Return a call that says nothing yet."""
    return connection.stream_unary(f"/{SERVICE}/{METHOD}")()


@asynccontextmanager
async def world(directory: Path, message_s: float = MESSAGE_S) -> AsyncIterator[World]:
    clock = SystemClock()
    authority = OwnAuthority(RootFiles(directory), clock)
    identities = Identities(authority, clock, "cluster.local")
    certification = Certification(NobodysTokens(), authority, identities, Metrics())
    server = CertificateServer(certification, identities, clock, message_s)
    port = await server.start("127.0.0.1:0")
    try:
        async with asyncio.timeout(WAIT_S), AsyncExitStack() as connections:
            yield World(port, identities.bundle().encode(), connections)
    finally:
        await server.stop()


async def answered(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value.code(), str(failed.value.details())


async def test_calls_that_say_nothing_take_nobodys_place(tmp_path: Path) -> None:
    # None of them is ended while others are opened, however busy the machine.
    async with world(tmp_path, message_s=2 * WAIT_S) as served:
        for _ in range(MAX_CALLS // A_CONNECTION + 1):
            connection = await served.connection()
            for _ in range(A_CONNECTION):
                await call_on(connection).wait_for_connection()
        call = call_on(await served.connection())
        await call.write(b"")
        await call.done_writing()
        code, words = await answered(call)
        assert code is grpc.StatusCode.UNAUTHENTICATED, words


async def test_a_call_that_says_nothing_is_ended(tmp_path: Path) -> None:
    async with world(tmp_path, message_s=0.01) as served:
        call = call_on(await served.connection())
        assert await answered(call) == (grpc.StatusCode.DEADLINE_EXCEEDED, "no message within 0.01 s")


async def test_a_call_that_ends_without_a_message_is_told_so(tmp_path: Path) -> None:
    async with world(tmp_path) as served:
        call = call_on(await served.connection())
        await call.done_writing()
        assert await answered(call) == (grpc.StatusCode.INVALID_ARGUMENT, "the call carries no message")
