"""Triggers that call Java: Dubbo's own provider and SOFARPC's, by signatures that a ServiceInterface declares."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eventmesh.kube.resources import ENDPOINT_SLICE, SERVICE, SERVICE_INTERFACE, TRIGGER
from eventmesh.kube.status import is_ready
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import SHOP
from tests.peers.dubbo_peer import shop as dubbo_shop
from tests.peers.sofarpc_peer import shop as sofa_shop
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

INTERFACE = "eventmesh.peers.Shop"
METHODS = [
    {
        "name": "quote",
        "arguments": ["eventmesh.peers.Order"],
        "result": "eventmesh.peers.Quote",
        "throws": ["eventmesh.peers.SoldOut"],
    },
    {
        "name": "describe",
        "arguments": [
            "java.lang.String",
            "char",
            "byte",
            "short",
            "int",
            "long",
            "float",
            "double",
            "boolean",
            "java.lang.Integer",
            "byte[]",
            "java.lang.String[]",
            "int[]",
            "java.util.List",
            "java.util.Map",
            "java.util.Date",
            "java.math.BigDecimal",
        ],
        "result": "java.lang.String",
    },
    {"name": "forget", "arguments": ["java.lang.String"]},
    {"name": "nowhere", "arguments": ["java.lang.String"], "result": "java.lang.String"},
]
SERVERS = {"dubbo": dubbo_shop, "bolt": sofa_shop}


class Shop:
    """A world in which a Service `shop` is Java's."""

    def __init__(self, world: World, protocol: str) -> None:
        self.world = world
        self._annotation = f"eventmesh.io/{protocol}-method"

    async def calling(self, name: str, method: str, retry: int = 0) -> None:
        spec: dict[str, Any] = {
            "broker": SHOP,
            "subscriber": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "shop"}},
            "filter": {"attributes": {"type": name}},
            "delivery": {"retry": retry, "backoffDelay": "PT0.1S", "backoffPolicy": "linear"},
        }
        annotations = {self._annotation: f"{INTERFACE}:1.0/{method}"}
        await self.world.mesh.bench.create(TRIGGER, name, spec, annotations=annotations)
        await self.world.log.heard("delivering", trigger=f"default/{name}")
        await self.world.mesh.bench.until(SERVICE_INTERFACE, "shop", is_ready)

    async def attempts(self, name: str) -> list[tuple[int, str]]:
        """Return status and error of each attempt at the first event, once one of them was the last."""
        async with asyncio.timeout(WAIT_S):
            while True:
                timeline = json.loads((await self.world.ask_admin("/events/1/trace")).text)
                mine = [made for made in timeline["attempts"] if made["trigger"] == f"default/{name}"]
                if any("outcome" in made for made in mine):
                    return [(made.get("status", 0), made.get("error", "")) for made in mine]
                await asyncio.sleep(0.02)

    async def kept(self, name: str) -> dict[str, object]:
        return await self.world.log.heard("event kept as dead letter", trigger=f"default/{name}")


@pytest.fixture(params=["dubbo", "bolt"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Shop]:
    async with SERVERS[request.param](unused_tcp_port), shop_in(tmp_path, request.param, unused_tcp_port) as made:
        yield made


@asynccontextmanager
async def shop_in(directory: Path, protocol: str, port: int) -> AsyncIterator[Shop]:
    async with world_in(directory) as world:
        bench = world.mesh.bench
        await bench.create(SERVICE, "shop", {"ports": [{"name": "rpc", "port": 80, "appProtocol": protocol}]})
        metadata = {"name": "shop-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "shop"}}
        endpoints = [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]
        ports = [{"name": "rpc", "port": port, "protocol": "TCP"}]
        body = {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": ports}
        await bench.api.create(ENDPOINT_SLICE, body, "default")
        # The last of all: once it is ready, the activator has the endpoints too.
        interfaces = [{"name": INTERFACE, "version": "1.0", "methods": METHODS}]
        await bench.create(
            SERVICE_INTERFACE, "shop", {"targetRef": {"kind": "Service", "name": "shop"}, "interfaces": interfaces}
        )
        yield Shop(world, protocol)


async def test_java_is_called_with_what_json_says_and_its_result_is_an_event(shop: Shop) -> None:
    listening = await shop.world.subscriber()
    await shop.world.trigger("quoted", listening, type="order.reply")
    await shop.world.trigger("described", listening, type="everything.reply")
    await shop.calling("order", "quote", retry=100)
    order = {"item": "tea é 😀", "count": 3, "customer": {"name": "Ada", "tags": ["a", "b"]}}
    await shop.world.send("7", json.dumps(order).encode(), type="order")
    await listening.until(lambda: bool(listening.got))
    quote = json.loads(listening.got[0].body)
    assert listening.got[0].headers["content-type"] == "application/json"
    assert quote == {
        "item": "tea é 😀",
        "customer": "Ada [a, b]",
        "total": "29.70",
        "count": 3 + 2**40,
        "third": 1 / 3,
        "mills": 12.345,
        "half": 0.5,
        "quarter": 0.25,
        "at": "2023-11-14T22:13:20.123Z",
        "stamp": "AQID",
        "lines": [{"text": "é 😀"}, {"text": "é 😀"}],
        "stock": {"left": 3},
        "self": None,
    }
    await shop.calling("everything", "describe", retry=100)
    values = ["x" * 70_000, "é", -7, 300, -70_000, 2**40, 0.25, 12.345, True, 5]
    values += ["aGk=", ["a", "b"], [1, 2], ["c", "d"], {"e": 1}, "2023-11-14T22:13:20.123Z", "9.90"]
    await shop.world.send("8", json.dumps(values).encode(), type="everything")
    await listening.until(lambda: len(listening.got) > 1)
    said = " é -7 300 -70000 1099511627776 0.25 12.345 true 5 hi [a, b] [1, 2] [c, d] {e=1} 1700000000123 9.90"
    assert json.loads(listening.got[1].body) == "x" * 70_000 + said


@pytest.mark.parametrize(
    ("method", "data", "status", "attempts", "error"),
    [
        ("quote", {"item": "sold out", "count": 1}, 422, 1, "eventmesh.peers.SoldOut"),
        ("quote", {"item": "fail", "count": 1}, 500, 3, "java.lang.IllegalStateException"),
        ("quote", {"item": "loop", "count": 1}, 422, 1, ""),
        ("quote", ["not an order"], 415, 1, ""),
        ("nowhere", "a", 422, 1, None),
        ("forget", "fail", 500, 3, "java.lang.IllegalStateException"),
    ],
)
async def test_what_the_same_call_would_only_meet_again_is_a_dead_letter_at_once_and_all_else_is_tried_again(
    shop: Shop, method: str, data: object, status: int, attempts: int, error: str | None
) -> None:
    await shop.calling("order", method, retry=2)
    await shop.world.send("1", json.dumps(data).encode(), type="order")
    kept = await shop.kept("order")
    assert kept["reason"] == f"subscriber: answered {status}"
    made = await shop.attempts("order")
    assert [found for found, _ in made] == [status] * attempts
    assert error in (None, made[0][1])


async def test_a_method_without_a_result_has_no_reply(shop: Shop) -> None:
    listening = await shop.world.subscriber()
    await shop.world.trigger("replies", listening, type="order.reply")
    await shop.calling("order", "forget", retry=2)
    await shop.world.send("1", b'"tea"', type="order")
    assert await shop.attempts("order") == [(200, "")]
    assert not listening.got
