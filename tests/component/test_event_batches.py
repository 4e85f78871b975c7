"""Batches at the broker's door: all of it on disk before the 202, or nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.activator.broker.ingress import MAX_BATCH_EVENTS
from tests.component.broker_world import Answer, World, world_in
from tests.unit.cloudevents.protobuf_oracle import CLASSES, made


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as mesh:
        yield mesh


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"id": str(number), "source": "/s", "type": "order", "specversion": "1.0", "data": {"n": number}, **more}


async def send(world: World, body: bytes, form: str = "json") -> Answer:
    return await world.ask(body=body, headers={"content-type": f"application/cloudevents-batch+{form}"})


@pytest.mark.parametrize("form", ["json", "protobuf"])
async def test_each_event_of_a_batch_is_an_event(world: World, form: str) -> None:
    subscriber = await world.subscriber()
    await world.trigger("all", subscriber)
    if form == "json":
        body = json.dumps([event(number) for number in range(100)]).encode()
    else:
        events = [made(id=str(number), binary_data=b"x") for number in range(100)]
        body = CLASSES["CloudEventBatch"](events=events).SerializeToString()
    assert (await send(world, body, form)).status == 202
    await subscriber.until(lambda: len(subscriber.ids()) == 100)
    assert subscriber.ids() == {str(number) for number in range(100)}


async def test_a_batch_with_one_bad_event_leaves_nothing_and_an_empty_one_is_accepted(world: World) -> None:
    subscriber = await world.subscriber()
    await world.trigger("all", subscriber)
    for bad in (event(2, source=""), event(2, knativebrokerttl=1)):
        refused = await send(world, json.dumps([event(1), bad]).encode())
        assert refused.status == 400
    assert (await send(world, b"[]")).status == 202
    assert (await send(world, json.dumps([event(3)]).encode())).status == 202
    await subscriber.until(lambda: "3" in subscriber.ids())
    assert subscriber.ids() == {"3"}


async def test_more_events_than_the_limit_are_refused_by_number(world: World) -> None:
    body = json.dumps([event(number, data=0) for number in range(MAX_BATCH_EVENTS + 1)]).encode()
    refused = await send(world, body)
    assert (refused.status, f"more than {MAX_BATCH_EVENTS}" in refused.text) == (400, True)
    assert (await send(world, json.dumps([event(1)] * MAX_BATCH_EVENTS).encode())).status == 202
