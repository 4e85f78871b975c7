"""EventTypes: what their condition says, and what is made of the events that are seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from eventmesh.kube.resources import BROKER, CONFIG_MAP, EVENT_TYPE, NAMESPACE
from eventmesh.kube.status import condition, is_ready
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import SHOP
from tests.waiting import WAIT_S

FEATURES = {"metadata": {"name": "config-features"}, "data": {"eventtype-auto-create": "enabled"}}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def test_what_a_broker_accepts_is_in_the_catalogue_once_and_goes_with_it(world: World) -> None:
    bench = world.mesh.bench
    if not any(n["metadata"]["name"] == "knative-eventing" for n in (await bench.api.list(NAMESPACE)).items):
        await bench.api.create(NAMESPACE, {"metadata": {"name": "knative-eventing"}})
    await bench.api.create(CONFIG_MAP, FEATURES, "knative-eventing")
    informer = bench.informers.of(EVENT_TYPE)
    number = 0
    # The flag is seen by the activator in its own time.
    async with asyncio.timeout(WAIT_S):
        while not len(informer):
            number += 1
            await world.send(str(number), type="order.created")
    (entry,) = informer
    assert (entry["spec"]["type"], entry["spec"]["source"]) == ("order.created", "/tests")
    await bench.until(EVENT_TYPE, entry["metadata"]["name"], is_ready)
    await world.send("more", type="order.created")
    await world.send("other", type="order.paid")
    await bench.until_count(EVENT_TYPE, 2)
    await bench.api.delete(BROKER, SHOP, "default")
    await bench.until_count(EVENT_TYPE, 0)


async def test_an_entry_says_whether_what_it_names_is_there(world: World) -> None:
    bench = world.mesh.bench
    reference = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "later"}
    await bench.create(EVENT_TYPE, "waits", {"type": "order", "reference": reference})
    waiting = await bench.until(EVENT_TYPE, "waits", lambda obj: condition(obj, "Ready") is not None)
    assert (condition(waiting, "ReferenceExists") or {})["reason"] == "ResourceDoesNotExist"
    await bench.create(BROKER, "later", {})
    await bench.until(EVENT_TYPE, "waits", is_ready)
    await bench.create(EVENT_TYPE, "free", {"type": "order"})
    free = await bench.until(EVENT_TYPE, "free", is_ready)
    assert (condition(free, "ReferenceExists") or {})["reason"] == "ReferenceNotSet"
    maps = {"apiVersion": "v1", "kind": "ConfigMap", "name": "there"}
    await bench.api.create(CONFIG_MAP, {"metadata": {"name": "there"}}, "default")
    await bench.create(EVENT_TYPE, "map", {"type": "order", "reference": maps})
    await bench.until(EVENT_TYPE, "map", is_ready)
