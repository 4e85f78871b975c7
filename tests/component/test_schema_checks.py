"""Schemas at the door of a broker and a channel: what is refused, what is diverted, and who hears of it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.kube.api import ApiError
from eventmesh.kube.resources import BROKER, EVENT_TYPE
from eventmesh.kube.status import is_ready
from tests.component.broker_world import Answer, World, world_in
from tests.mesh.broker_mesh import SHOP, event_headers
from tests.waiting import WAIT_S

SCHEMA = json.dumps({"type": "object", "properties": {"total": {"type": "number", "minimum": 0}}})
BROKEN, WHOLE = b'{"total": -1}', b'{"total": 1}'


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def checked(world: World, verdict: str, type_: str = "order", **more: str) -> None:
    reference = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "name": SHOP}
    spec: dict[str, Any] = {"type": type_, "reference": reference, "schemaData": SCHEMA, **more}
    name = f"{type_}-{verdict}"
    await world.mesh.bench.create(EVENT_TYPE, name, spec, annotations={"eventmesh.io/schema-check": verdict})
    await world.mesh.bench.until(EVENT_TYPE, name, is_ready)


async def send(world: World, event_id: str, body: bytes, **attributes: str) -> Answer:
    return await world.ask(body=body, headers=event_headers(event_id, **attributes))


async def until_refused(world: World, **attributes: str) -> Answer:
    """Return the first refusal: the EventType reaches the activator in its own time."""
    async with asyncio.timeout(WAIT_S):
        while (answer := await send(world, "early", BROKEN, **attributes)).status != 400:
            await asyncio.sleep(0.01)
    return answer


async def test_an_event_that_breaks_its_schema_is_refused_with_the_place(world: World) -> None:
    await checked(world, "reject")
    told = (await until_refused(world)).text
    assert told.startswith("data/total: -1 is less than the minimum of 0")
    assert "default/order-reject" in told
    assert (await send(world, "1", WHOLE)).status == 202
    assert (await send(world, "2", BROKEN, type="bill")).status == 202
    page = (await world.ask_admin("/stats/prometheus")).text
    assert 'reason="schema"' in page
    await world.mesh.bench.api.delete(EVENT_TYPE, "order-reject", "default")
    async with asyncio.timeout(WAIT_S):
        while (await send(world, "3", BROKEN)).status != 202:
            await asyncio.sleep(0.01)


async def test_an_event_that_is_diverted_reaches_the_dead_letter_sink_and_no_trigger(world: World) -> None:
    letters, subscriber = await world.subscriber(), await world.subscriber()
    await world.mesh.bench.api.patch(
        BROKER, SHOP, {"spec": {"delivery": {"deadLetterSink": {"uri": letters.url}}}}, "default"
    )
    await world.mesh.bench.until(BROKER, SHOP, lambda b: b["status"].get("deadLetterSinkUri") == letters.url)
    await world.trigger("all", subscriber)
    await checked(world, "divert")
    await world.log.heard("delivering", trigger=f"default/{SHOP}-diverted")
    assert (await send(world, "broken", BROKEN)).status == 202
    assert (await send(world, "whole", WHOLE)).status == 202
    await letters.until(lambda: "broken" in letters.ids())
    await subscriber.until(lambda: "whole" in subscriber.ids())
    assert "broken" not in subscriber.ids()
    (letter,) = (event for event in letters.got if event.id == "broken")
    assert letter.body == BROKEN and letter.attributes["knativeerrorcode"] == "400"
    assert b"data/total" in base64.b64decode(letter.attributes["knativeerrordata"])


async def test_without_a_dead_letter_sink_what_would_be_diverted_is_refused(world: World) -> None:
    await checked(world, "divert", source="/tests")
    assert "data/total" in (await until_refused(world)).text
    assert (await send(world, "1", BROKEN, source="/other")).status == 202


async def test_a_reply_that_breaks_its_schema_fails_its_delivery(world: World) -> None:
    reply = {**event_headers("reply", type="order"), "content-type": "application/json"}
    subscriber = await world.subscriber(lambda _: web.Response(status=200, headers=reply, body=BROKEN))
    await checked(world, "reject")
    await until_refused(world)
    await world.trigger("answers", subscriber, {"retry": 3}, type="question")
    assert (await send(world, "1", WHOLE, type="question")).status == 202
    kept = await world.log.heard("event kept as dead letter", trigger="default/answers")
    assert kept["reason"] == "subscriber: answered 422"


@pytest.mark.parametrize(
    ("spec", "verdict", "field"),
    [
        ({"schemaData": SCHEMA}, "warn", "metadata.annotations[eventmesh.io/schema-check]"),
        ({}, "reject", "spec.schemaData"),
        ({"schemaData": '{"type": 7}'}, "reject", "spec.schemaData"),
        ({"schemaData": SCHEMA, "reference": None}, "reject", "spec.reference"),
        ({"schemaData": SCHEMA, "reference": {"namespace": "elsewhere"}}, "reject", "spec.reference.namespace"),
    ],
)
async def test_a_check_that_cannot_be_made_is_refused_when_it_is_written(
    world: World, spec: dict[str, Any], verdict: str, field: str
) -> None:
    reference: dict[str, Any] | None = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "name": SHOP}
    if "reference" in spec:
        reference = {**(reference or {}), **spec["reference"]} if spec["reference"] else None
    body = {"type": "order", **spec, "reference": reference}
    with pytest.raises(ApiError, match="schema-check|JSON Schema") as refused:
        await world.mesh.bench.create(
            EVENT_TYPE, "bad", {k: v for k, v in body.items() if v}, annotations={"eventmesh.io/schema-check": verdict}
        )
    assert field in refused.value.message
