"""The ADS server at its edges: taken ports, garbage, too many streams, clients that vanish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.service.discovery.v3 import DeltaDiscoveryRequest

from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import UnavailableError
from eventmesh.xds.control import server as server_module
from eventmesh.xds.control import subscriptions, write_budget
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.resources import from_bytes
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.server import AdsServer
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.streams import Stream
from eventmesh.xds.control.write_budget import WriteBudget
from eventmesh.xds.identity.spiffe import SpiffeId
from eventmesh.xds.resource_types import ResourceType
from tests.component.ads_client import CDS, EDS, METHOD, connected
from tests.waiting import WAIT_S


class Arrivals(AckTracker):
    """Says how many clients have come."""

    count = 0

    def __init__(self) -> None:
        super().__init__(SystemClock(), lambda role: frozenset())
        self.changed = asyncio.Event()

    def joined(self, stream: Stream, peer: str, identity: SpiffeId | None = None) -> None:
        super().joined(stream, peer, identity)
        self.count += 1
        self.changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.count < count:
                self.changed.clear()
                await self.changed.wait()


class Served:
    def __init__(self) -> None:
        clock = SystemClock()
        self.acks = AckTracker(clock, lambda role: frozenset())
        self.cache = SnapshotCache()
        self.server = AdsServer(self.cache, self.acks, clock)
        self.port = 0

    def another(self) -> AdsServer:
        return AdsServer(SnapshotCache(), self.acks, SystemClock())


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    served = Served()
    served.port = await served.server.start("127.0.0.1:0")
    yield served
    await served.server.stop()


async def ended(port: int, first: bytes) -> grpc.StatusCode:
    """Send one message; return the status the stream ends with."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream: Any = channel.stream_stream(METHOD)()
        await stream.write(first)
        code: grpc.StatusCode = await stream.code()
        return code


async def never_reading(stack: AsyncExitStack, port: int) -> asyncio.StreamReader:
    """Open a stream, say hello, and give no credit: the server may send as much as HTTP/2 allows at first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000_000)
    stack.callback(writer.close)
    names = {":path": METHOD, ":authority": "x", "te": "trailers", "content-type": "application/grpc"}
    head = b"\x83\x86" + b"".join(b"\0" + _literal(name) + _literal(value) for name, value in names.items())
    message = b"\0" + len(hello()).to_bytes(4, "big") + hello()
    writer.write(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0) + _frame(1, 4, 1, head) + _frame(0, 0, 1, message)
    )
    return reader


def _literal(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(type_: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([type_, flags]) + stream.to_bytes(4, "big") + payload


def hello() -> bytes:
    return bytes(DeltaDiscoveryRequest(node=Node(id="n"), type_url=ResourceType.CLUSTER.value))


async def test_a_taken_port_is_told_with_its_address(served: Served) -> None:
    with pytest.raises(UnavailableError, match=f"ADS cannot listen on 127.0.0.1:{served.port}"):
        await served.another().start(f"127.0.0.1:{served.port}")


@pytest.mark.parametrize(
    "first", [b"\xff\xff\xff", bytes(DeltaDiscoveryRequest(type_url="x"))], ids=["noise", "no node"]
)
async def test_a_first_message_that_is_no_request_of_a_node_is_an_invalid_argument(
    served: Served, first: bytes
) -> None:
    assert await ended(served.port, first) is grpc.StatusCode.INVALID_ARGUMENT


async def test_garbage_in_mid_stream_ends_that_stream_alone(served: Served) -> None:
    async with (
        connected(served.port, "gateway") as good,
        grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel,
    ):
        stream: Any = channel.stream_stream(METHOD)()
        await stream.write(hello())
        await stream.read()
        await stream.write(b"\x0b")
        assert await stream.code() is grpc.StatusCode.INVALID_ARGUMENT
        await good.until(lambda: len(good.pushes) >= 2)


async def test_one_stream_too_many_is_turned_away_with_a_reason(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_STREAMS", 1)
    async with connected(served.port, "gateway") as first:
        await first.until(lambda: bool(first.pushes))
        assert await ended(served.port, hello()) is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_clients_that_say_nothing_take_nobodys_place_and_are_ended(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_STREAMS", 1)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel:
        silent: Any = channel.stream_stream(METHOD)()
        await silent.wait_for_connection()
        async with connected(served.port, "gateway") as first:
            await first.until(lambda: bool(first.pushes))
        monkeypatch.setattr(server_module, "HELLO_S", 0.01)
        another: Any = channel.stream_stream(METHOD)()
        assert await another.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await another.details() == "no request within 0.01 s"


async def test_a_request_beyond_the_limit_is_not_taken_in(served: Served) -> None:
    huge = b"\x0a" + b"\x80\x80\x80\x03" + bytes(server_module.MAX_REQUEST_BYTES + 1)
    assert await ended(served.port, huge) is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_names_without_end_are_not_remembered(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_NAMES", 100)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel:
        stream: Any = channel.stream_stream(METHOD)()
        await stream.write(hello())
        for number in range(11):
            names = [f"no/such-{number}-{one}" for one in range(10)]
            await stream.write(bytes(DeltaDiscoveryRequest(type_url=EDS.value, resource_names_subscribe=names)))
        with suppress(grpc.aio.AioRpcError):
            while await stream.read() is not grpc.aio.EOF:
                pass  # The status comes behind the answers.
        assert await stream.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_clients_that_read_nothing_give_way_to_one_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_budget, "STALL_S", 0.0)
    clock, cache, large = SystemClock(), SnapshotCache(), 4_000_000
    budget = WriteBudget(clock, limit=large)
    arrivals = Arrivals()
    server = AdsServer(cache, arrivals, clock, budget=budget)
    cache.publish({Audience(Role.GATEWAY): [from_bytes(CDS, "large", bytes(large))]})
    port = await server.start("127.0.0.1:0")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        mute = [await never_reading(stack, port) for _ in range(6)]
        await arrivals.until(6)
        polite = await stack.enter_async_context(connected(port, "gateway"))
        await polite.until(lambda: "large" in polite.held[CDS])
        # Their connections are reset, or what they do not read would stay in memory: here, and in the kernel.
        async with asyncio.timeout(WAIT_S):
            for one in mute:
                with pytest.raises(ConnectionResetError):
                    await one.read()


async def test_a_client_that_floods_requests_delays_nobody_for_long(served: Served) -> None:
    async with connected(served.port, "gateway") as polite:
        await polite.until(lambda: len(polite.pushes) >= 2)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel:
            stream: Any = channel.stream_stream(METHOD)()
            await stream.write(hello())
            for number in range(1_000):
                again = DeltaDiscoveryRequest(type_url=EDS.value, resource_names_subscribe=[f"no/such-{number % 7}"])
                await stream.write(bytes(again))
                if number == 500:
                    served.cache.publish({Audience(Role.GATEWAY): [from_bytes(CDS, "new", b"")]})
            await polite.until(lambda: "new" in polite.held[CDS])
            stream.cancel()


async def test_a_client_that_goes_is_no_longer_counted(served: Served) -> None:
    changed = asyncio.Event()
    served.acks.listen(changed.set, lambda nack: None)
    async with connected(served.port, "gateway") as client:
        await client.until(lambda: bool(client.pushes))
        assert served.acks.clients(Role.GATEWAY) == 1
    async with asyncio.timeout(WAIT_S):
        while served.acks.clients(Role.GATEWAY):
            changed.clear()
            await changed.wait()
