"""Triggers that name a Bolt or Dubbo method: what their status says, and calls whose data goes as it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import BROKER, SERVICE, SERVICE_INTERFACE, TRIGGER
from eventmesh.kube.rpc_methods import SIGNATURE
from eventmesh.kube.status import condition
from tests.component import eventing_world
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import SHOP, event_headers

PRICES = {"ref": {"apiVersion": "v1", "kind": "Service", "name": "prices"}}
QUOTE = {"name": "quote", "arguments": ["shop.Order"], "result": "shop.Quote"}


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[eventing_world.World]:
    async with eventing_world.world_in(tmp_path) as made:
        await made.create(BROKER, SHOP, {})
        await made.create(SERVICE, "prices", {"ports": [{"name": "rpc", "port": 80, "appProtocol": "dubbo"}]})
        yield made


async def offered(cluster: eventing_world.World, *methods: Mapping[str, Any]) -> None:
    interfaces = [{"name": "shop.Prices", "version": "1.0", "methods": list(methods)}]
    spec = {"targetRef": {"kind": "Service", "name": "prices"}, "interfaces": interfaces}
    await cluster.create(SERVICE_INTERFACE, "prices", spec)


async def triggered(cluster: eventing_world.World, annotations: Mapping[str, str], subscriber: Object = PRICES) -> None:
    named = {f"eventmesh.io/{name.replace('_', '-')}": value for name, value in annotations.items()}
    await cluster.create(TRIGGER, "t", {"broker": SHOP, "subscriber": subscriber}, annotations=named)


async def said(cluster: eventing_world.World, reason: str) -> Object:
    return await cluster.when(
        TRIGGER, "t", lambda obj: (condition(obj, "SubscriptionReady") or {}).get("reason", "") == reason
    )


async def test_the_signature_of_a_method_is_told_by_the_triggers_status(cluster: eventing_world.World) -> None:
    await offered(cluster, QUOTE)
    await triggered(cluster, {"dubbo_method": "shop.Prices:1.0/quote"})
    ready = await cluster.until(TRIGGER, "t", "SubscriptionReady", "True")
    told = json.loads(ready["status"]["annotations"][SIGNATURE])
    assert told == {"arguments": ["shop.Order"], "result": "shop.Quote", "throws": []}
    assert ready["status"]["subscriberUri"] == "http://prices.default.svc.cluster.local"


async def test_a_method_that_comes_later_makes_its_trigger_ready(cluster: eventing_world.World) -> None:
    await triggered(cluster, {"dubbo_method": "shop.Prices:1.0/quote"})
    waiting = await said(cluster, "InterfaceNotOffered")
    assert "subscriberUri" not in waiting["status"]
    await offered(cluster, QUOTE)
    await cluster.until(TRIGGER, "t", "SubscriptionReady", "True")
    await cluster.api.delete(SERVICE_INTERFACE, "prices", "default")
    await said(cluster, "InterfaceNotOffered")


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ({"dubbo_method": "shop.Prices:1.0/other"}, "SignatureMissing"),
        ({"dubbo_method": "shop.Prices:2.0/quote"}, "InterfaceNotOffered"),
        ({"dubbo_method": "shop.Stock:1.0/quote"}, "InterfaceNotOffered"),
        ({"bolt_method": "shop.Prices:2.0/quote"}, "InterfaceNotOffered"),
    ],
)
async def test_a_method_that_is_not_offered_is_named_in_a_condition(
    cluster: eventing_world.World, method: dict[str, str], reason: str
) -> None:
    await offered(cluster, QUOTE)
    await triggered(cluster, method)
    await said(cluster, reason)


async def test_a_bolt_method_needs_no_signature(cluster: eventing_world.World) -> None:
    await offered(cluster)
    await triggered(cluster, {"bolt_method": "shop.Prices:1.0/quote"})
    ready = await cluster.until(TRIGGER, "t", "SubscriptionReady", "True")
    assert "annotations" not in ready["status"]


async def test_what_is_no_service_is_not_called_by_interface(cluster: eventing_world.World) -> None:
    broker = {"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": SHOP}}
    await triggered(cluster, {"bolt_method": "shop.Prices:1.0/quote"}, broker)
    await said(cluster, "NotCalledByInterface")


async def test_dubbo_at_an_address_has_no_signature(cluster: eventing_world.World) -> None:
    await triggered(cluster, {"dubbo_method": "shop.Prices/quote"}, {"uri": "http://prices.test:20880"})
    await said(cluster, "SignatureMissing")


@pytest.mark.parametrize(
    "annotations",
    [{"bolt_method": "quote"}, {"dubbo_method": "a.B:1:2:3/c"}, {"bolt_method": "a.B/c", "dubbo_method": "a.B/c"}],
)
async def test_a_method_that_is_none_is_refused_when_it_is_written(
    cluster: eventing_world.World, annotations: dict[str, str]
) -> None:
    with pytest.raises(ApiError, match="-method"):
        await triggered(cluster, annotations)


class BoltService:
    """A service that answers every call with `answer`, at status 0, and remembers contents and header maps."""

    def __init__(self, answer: bytes, headers: bytes = b"") -> None:
        self.calls: list[tuple[int, bytes, bytes]] = []
        """Codec, header map, content."""
        self._answer, self._headers = answer, headers

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(22)
                sizes = (int.from_bytes(head[14:16], "big"), int.from_bytes(head[16:18], "big"))
                await reader.readexactly(sizes[0])
                headers = await reader.readexactly(sizes[1])
                content = await reader.readexactly(int.from_bytes(head[18:22], "big"))
                self.calls.append((head[9], headers, content))
                answer = b"\1\0\0\2\1" + head[5:10] + b"\0\0" + b"\0\0" + len(self._headers).to_bytes(2, "big")
                writer.write(answer + len(self._answer).to_bytes(4, "big") + self._headers + self._answer)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass  # The caller has gone.
        finally:
            writer.close()


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def calling(world: World, url: str) -> None:
    spec: dict[str, Any] = {"broker": SHOP, "subscriber": {"uri": url}, "filter": {"attributes": {"type": "order"}}}
    spec["delivery"] = {"retry": 0}
    await world.mesh.bench.create(
        TRIGGER, "prices", spec, annotations={"eventmesh.io/bolt-method": "shop.Prices/quote"}
    )
    await world.log.heard("delivering", trigger="default/prices")


@pytest.mark.parametrize(
    ("content_type", "codec", "data", "answer"),
    [
        ("application/json", 12, b'{"order": 7}', b'{"total": 3}'),
        ("application/protobuf", 11, b"\x08\x07", b"\x10\x03"),
    ],
)
async def test_without_a_signature_data_goes_and_comes_as_it_is(
    world: World, content_type: str, codec: int, data: bytes, answer: bytes
) -> None:
    service = BoltService(answer)
    async with service.serving() as url:
        listening = await world.subscriber()
        await world.trigger("quoted", listening, type="order.reply")
        await calling(world, url)
        headers = event_headers("7", type="order") | {"content-type": content_type}
        assert (await world.ask(body=data, headers=headers)).status == 202
        await listening.until(lambda: bool(listening.got))
    spoken, fields, content = service.calls[0]
    assert (spoken, content) == (codec, data)
    assert b"ce-id\0\0\0\x017" in fields and b"shop.Prices:1.0" in fields
    assert (listening.got[0].body, listening.got[0].headers["content-type"]) == (answer, content_type)


async def test_a_failure_that_the_service_tells_is_in_the_dead_letter(world: World) -> None:
    failed = b"\0\0\0\x18sofa_head_response_error\0\0\0\x04true"
    async with BoltService(b"no stock", failed).serving() as url:
        await calling(world, url)
        await world.send("7", b'"seven"', type="order")
        kept = await world.log.heard("event kept as dead letter", trigger="default/prices")
    assert kept["reason"] == "subscriber: answered 500"
