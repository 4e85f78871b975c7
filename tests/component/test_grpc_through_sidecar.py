"""gRPC calls of grpcio through a data plane to a grpcio server: every kind of call, and every way one can end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import grpc
import grpc.aio
import pytest

from eventmesh.dataplane.plane import DataPlane
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import PathKind, RouteMatch
from eventmesh.model.route import Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from tests.component.planes import LOOPBACK, running
from tests.waiting import WAIT_S

SERVICE = "shop.Cart"
MESSAGES = 1_000
LARGE = 4 * 1024 * 1024
OPTIONS = [
    ("grpc.max_receive_message_length", 2 * LARGE),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass
class CartService:
    """The server's side of the calls, and what it learns of their ends."""

    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0

    async def echo(self, request: bytes, context: Context) -> bytes:
        """Return the message; what came as `x-note` goes back as metadata before and after it."""
        notes = [value for key, value in context.invocation_metadata() or () if key == "x-note"]
        await context.send_initial_metadata([("x-note", str(note)) for note in notes])
        context.set_trailing_metadata([("x-after", str(note)) for note in notes])
        return request

    async def refuse(self, request: bytes, context: Context) -> bytes:
        """End with a status, details that need escaping, and a trailer."""
        context.set_trailing_metadata([("x-reason-bin", b"\x00\xff")])
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "cart 100% full: ü")
        return request

    async def wait(self, request: bytes, context: Context) -> bytes:
        """Never answer; note that the call has come, and when its caller has gone."""
        self.waiting.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        self.cancelled.set()
        return request

    async def count(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """Answer one message with so many."""
        for number in range(int(request)):
            yield str(number).encode()

    async def pour(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """Send messages of this size for ever, counting those that were taken off our hands."""
        while True:
            yield bytes(int(request))
            self.sent += int(request)

    async def total(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        """Answer many messages with their length in all."""
        total = 0
        async for request in requests:
            total += len(request)
        return str(total).encode()

    async def echo_each(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        """Answer each message with itself."""
        async for request in requests:
            yield request

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the methods under their names; messages are plain bytes."""
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
            "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Pour": grpc.unary_stream_rpc_method_handler(self.pour),
            "Total": grpc.stream_unary_rpc_method_handler(self.total),
            "EchoEach": grpc.stream_stream_rpc_method_handler(self.echo_each),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)


@asynccontextmanager
async def serving(service: CartService) -> AsyncIterator[str]:
    """Run a grpcio server; give its address."""
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((service.handler(),))
    port = server.add_insecure_port(LOOPBACK)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def proxy(upstream: str, *, timeout_s: float = 0) -> Snapshot:
    """Return a snapshot that forwards the cart service to `upstream`, and knows another that is not there."""
    cart = Route(RouteMatch(f"/{SERVICE}/"), Forward((WeightedCluster("cart"),), timeout_s=timeout_s))
    gone = Route(RouteMatch("/shop.Gone/Ask", PathKind.EXACT), Forward((WeightedCluster("gone"),)))
    return Snapshot(
        "1",
        (Listener("edge", LOOPBACK, "all", protocol=WireProtocol.AUTO),),
        (RouteTable("all", (VirtualHost("any", ("*",), (cart, gone)),)),),
        (
            Cluster("cart", (Endpoint(upstream),), protocol=WireProtocol.HTTP2),
            Cluster("gone", (), protocol=WireProtocol.HTTP2),
        ),
    )


@dataclass
class Scene:
    """A service behind a data plane, and a channel to the latter."""

    service: CartService
    plane: DataPlane
    channel: grpc.aio.Channel

    def unary(self, method: str, service: str = SERVICE) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        """Return the call of a method with one request and one answer."""
        return self.channel.unary_unary(f"/{service}/{method}")

    def server_stream(self, method: str) -> grpc.aio.UnaryStreamMultiCallable[bytes, bytes]:
        """Return the call of a method with one request and many answers."""
        return self.channel.unary_stream(f"/{SERVICE}/{method}")

    def client_stream(self, method: str) -> grpc.aio.StreamUnaryMultiCallable[bytes, bytes]:
        """Return the call of a method with many requests and one answer."""
        return self.channel.stream_unary(f"/{SERVICE}/{method}")

    def stream(self, method: str) -> grpc.aio.StreamStreamMultiCallable[bytes, bytes]:
        """Return the call of a method with many of both."""
        return self.channel.stream_stream(f"/{SERVICE}/{method}")


@asynccontextmanager
async def stage(*, timeout_s: float = 0) -> AsyncIterator[Scene]:
    """Set the scene."""
    service = CartService()
    async with (
        serving(service) as upstream,
        running(proxy(upstream, timeout_s=timeout_s)) as plane,
        grpc.aio.insecure_channel(plane.addresses()["edge"], options=OPTIONS) as channel,
    ):
        yield Scene(service, plane, channel)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with stage() as scene:
        yield scene


async def test_a_unary_call_carries_its_message_and_metadata_both_ways(scene: Scene) -> None:
    call = scene.unary("Echo")(b"tea", metadata=[("x-note", "two cups")])
    assert await call == b"tea"
    assert ("x-note", "two cups") in list(await call.initial_metadata())
    assert ("x-after", "two cups") in list(await call.trailing_metadata())


async def test_a_hundred_calls_share_one_connection_at_once(scene: Scene) -> None:
    echo = scene.unary("Echo")
    messages = [f"message {number}".encode() for number in range(100)]
    assert await asyncio.gather(*(echo(message) for message in messages)) == messages
    assert scene.plane.driver.accepted_connections == 1


async def test_a_server_stream_arrives_whole_and_in_order(scene: Scene) -> None:
    call = scene.server_stream("Count")(str(MESSAGES).encode())
    assert [int(message) async for message in call] == list(range(MESSAGES))


async def test_a_client_stream_arrives_whole(scene: Scene) -> None:
    async def messages() -> AsyncIterator[bytes]:
        for _ in range(MESSAGES):
            yield bytes(1024)

    call = scene.client_stream("Total")(messages())
    assert int(await call) == MESSAGES * 1024


async def test_a_thousand_messages_go_and_come_on_one_stream(scene: Scene) -> None:
    call = scene.stream("EchoEach")()
    messages = [number.to_bytes(4) * 256 for number in range(MESSAGES)]

    async def write() -> None:
        for message in messages:
            await call.write(message)
        await call.done_writing()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        assert [message async for message in call] == messages
    assert await call.code() is grpc.StatusCode.OK


async def test_messages_of_four_mebibytes_pass(scene: Scene) -> None:
    message = bytes(range(256)) * (LARGE // 256)
    assert await scene.unary("Echo")(message) == message


async def test_a_caller_that_does_not_read_stops_its_server_and_nobody_else(scene: Scene) -> None:
    size = 64 * 1024
    stalled = scene.server_stream("Pour")(str(size).encode())
    await stalled.read()
    for _ in range(200):
        assert await scene.unary("Echo")(bytes(10_000)) == bytes(10_000)
    # The windows of both hops and what grpcio holds itself; without back-pressure it would be hundreds by now.
    assert scene.service.sent < 16 * 1024 * 1024
    for _ in range(32 * 1024 * 1024 // size):
        message = await stalled.read()
        assert isinstance(message, bytes)
        assert len(message) == size
    stalled.cancel()


async def test_a_status_keeps_its_details_and_trailers(scene: Scene) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await scene.unary("Refuse")(b"")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.details() == "cart 100% full: ü"
    assert ("x-reason-bin", b"\x00\xff") in list(refused.value.trailing_metadata())


async def test_a_passed_deadline_reaches_caller_and_server(scene: Scene) -> None:
    deadline_s = 0.5
    # On a busy machine one may pass before the server has heard of the call.
    while not scene.service.waiting.is_set():
        deadline_s *= 2
        with pytest.raises(grpc.aio.AioRpcError) as passed:
            await scene.unary("Wait")(b"", timeout=deadline_s)
        assert passed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(scene.service.cancelled.wait(), WAIT_S)


async def test_a_cancelled_call_is_cancelled_at_the_server(scene: Scene) -> None:
    call = scene.unary("Wait")(b"")
    await asyncio.wait_for(scene.service.waiting.wait(), WAIT_S)
    call.cancel()
    await asyncio.wait_for(scene.service.cancelled.wait(), WAIT_S)
    assert scene.plane.engine.active() == 0


async def test_a_routes_timeout_is_a_deadline_to_grpc() -> None:
    async with stage(timeout_s=1.0) as scene:
        # As above.
        while not scene.service.waiting.is_set():
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await scene.unary("Wait")(b"")
            assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(scene.service.cancelled.wait(), WAIT_S)


async def test_answers_of_the_mesh_are_grpc_statuses(scene: Scene) -> None:
    for service, code in (
        ("shop.Unknown", grpc.StatusCode.UNIMPLEMENTED),
        ("shop.Gone", grpc.StatusCode.UNAVAILABLE),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as answered:
            await scene.unary("Ask", service)(b"")
        assert answered.value.code() is code
