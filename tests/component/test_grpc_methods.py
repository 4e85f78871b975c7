"""Triggers that call gRPC methods: grpcio's own server at the other end, results as events of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import ENDPOINT_SLICE, SERVICE, TRIGGER
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import SHOP, event_headers
from tests.waiting import WAIT_S

Context = grpc.aio.ServicerContext[bytes, bytes]
Method = Callable[[bytes, Context], Awaitable[bytes]]
PLAIN = {"eventmesh.io/grpc-method": "shop.Prices/Quote"}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


@asynccontextmanager
async def serving(quote: Method) -> AsyncIterator[str]:
    """Serve `shop.Prices/Quote`, whose messages are bytes; give its address."""
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(quote)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Prices", {"Quote": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def calling(world: World, subscriber: str | Object, retry: int = 0, **annotations: str) -> None:
    destination = {"uri": subscriber} if isinstance(subscriber, str) else subscriber
    spec: dict[str, Any] = {"broker": SHOP, "subscriber": destination, "filter": {"attributes": {"type": "order"}}}
    spec["delivery"] = {"retry": retry, "backoffDelay": "PT0S", "backoffPolicy": "linear"}
    named = {**PLAIN, **{f"eventmesh.io/{name.replace('_', '-')}": value for name, value in annotations.items()}}
    await world.mesh.bench.create(TRIGGER, "prices", spec, annotations=named)
    await world.log.heard("delivering", trigger="default/prices")


@pytest.mark.parametrize(
    ("content_type", "data", "answer"),
    [("application/json", b'{"order": 7}', b'{"total": 3}'), ("application/protobuf", b"\x08\x07", b"\x10\x03")],
)
async def test_a_result_comes_back_as_an_event_of_the_broker(
    world: World, content_type: str, data: bytes, answer: bytes
) -> None:
    seen: list[tuple[bytes, dict[str, Any]]] = []

    async def quote(request: bytes, context: Context) -> bytes:
        seen.append((request, dict(context.invocation_metadata() or ())))
        return answer

    async with serving(quote) as url:
        listening = await world.subscriber()
        await world.trigger("quoted", listening, type="order.quoted")
        await calling(world, url, reply_type="order.quoted")
        headers = event_headers("7", type="order") | {"content-type": content_type}
        assert (await world.ask(body=data, headers=headers)).status == 202
        await listening.until(lambda: bool(listening.got))
    assert seen[0][0] == data
    assert seen[0][1]["ce-id"] == "7"
    (reply,) = listening.got[:1]
    assert (reply.body, reply.headers["content-type"], reply.id) == (answer, content_type, "7-reply")
    timeline = (await world.ask_admin("/events?broker=default%2Fshop")).text
    assert "order.quoted" in timeline


async def test_a_service_of_the_mesh_is_called_by_the_routes_of_the_mesh(world: World) -> None:
    async def quote(request: bytes, context: Context) -> bytes:
        return request

    async with serving(quote) as url:
        port = {"name": "grpc", "port": 80, "appProtocol": "grpc"}
        await world.mesh.bench.create(SERVICE, "prices", {"ports": [port]})
        metadata = {"name": "prices-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "prices"}}
        endpoints = [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]
        ports = [{"name": "grpc", "port": int(url.rpartition(":")[2]), "protocol": "TCP"}]
        body = {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": ports}
        await world.mesh.bench.api.create(ENDPOINT_SLICE, body, "default")
        listening = await world.subscriber()
        await world.trigger("replies", listening, type="order.reply")
        await calling(world, {"ref": {"apiVersion": "v1", "kind": "Service", "name": "prices"}}, retry=100)
        await world.send("7", b'"seven"', type="order")
        await listening.until(lambda: bool(listening.got))
    assert listening.got[0].body == b'"seven"'


async def test_a_call_that_may_succeed_is_made_again_and_one_that_never_will_is_not(world: World) -> None:
    calls: list[bytes] = []

    async def quote(request: bytes, context: Context) -> bytes:
        calls.append(request)
        if request == b'"closed"':
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the shop is closed")
        if len([call for call in calls if call == request]) < 3:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        return b""

    async with serving(quote) as url:
        await calling(world, url, retry=5)
        await world.send("closed", b'"closed"', type="order")
        kept = await world.log.heard("event kept as dead letter", trigger="default/prices")
        assert kept["reason"] == "subscriber: answered 422"
        await world.send("late", b'"late"', type="order")
        async with asyncio.timeout(WAIT_S):
            while calls.count(b'"late"') < 3:
                await asyncio.sleep(0.01)
    assert calls.count(b'"closed"') == 1


async def test_data_that_is_no_message_is_a_dead_letter_at_once(world: World) -> None:
    async def quote(request: bytes, context: Context) -> bytes:
        raise AssertionError("never called")

    async with serving(quote) as url:
        await calling(world, url, retry=5)
        headers = event_headers("1", type="order") | {"content-type": "text/plain"}
        assert (await world.ask(body=b"order", headers=headers)).status == 202
        kept = await world.log.heard("event kept as dead letter", trigger="default/prices")
        assert kept["reason"] == "subscriber: answered 415"


@pytest.mark.parametrize(
    "annotations",
    [
        {"eventmesh.io/grpc-method": "/shop.Prices/Quote"},
        {"eventmesh.io/grpc-method": "Quote"},
        {"eventmesh.io/grpc-method": "shop.Prices/Quote/../x"},
        {"eventmesh.io/reply-type": "order.quoted"},
    ],
)
async def test_a_method_that_is_none_is_refused_when_it_is_written(world: World, annotations: dict[str, str]) -> None:
    spec = {"broker": SHOP, "subscriber": {"uri": "http://127.0.0.1:9"}}
    with pytest.raises(ApiError, match="grpc-method"):
        await world.mesh.bench.create(TRIGGER, "prices", spec, annotations=annotations)
