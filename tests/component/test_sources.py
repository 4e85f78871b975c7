"""Sources: real controllers, a real activator, real sinks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.kube.api import ApiError, Resource
from eventmesh.kube.resources import PING_SOURCE, PING_SOURCE_V1BETA2
from eventmesh.kube.status import condition, is_ready
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import SHOP

EACH_SECOND = "* * * * * *"
BROKER_SINK = {"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": SHOP}}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def test_a_ping_source_sends_to_its_sink_without_asking_for_a_reply(world: World) -> None:
    sink = await world.subscriber()
    spec = {"schedule": EACH_SECOND, "sink": {"uri": sink.url}, "data": "tick", "contentType": "text/plain"}
    await world.mesh.bench.create(PING_SOURCE, "clock", spec)
    made = await world.mesh.bench.until(PING_SOURCE, "clock", is_ready)
    source = "/apis/v1/namespaces/default/pingsources/clock"
    assert made["status"]["ceAttributes"] == [{"type": "dev.knative.sources.ping", "source": source}]
    await sink.until(lambda: len(sink.got) >= 2)
    first, second = sink.got[:2]
    assert (first.attributes["source"], first.body, "prefer" in first.headers) == (source, b"tick", False)
    assert first.attributes.keys() == {"id", "source", "type", "specversion", "time"}
    assert first.id != second.id


async def test_a_ping_source_whose_sink_is_a_broker_reaches_its_triggers(world: World) -> None:
    reader = await world.subscriber()
    await world.trigger("reader", reader, type="dev.knative.sources.ping")
    await world.mesh.bench.create(PING_SOURCE, "clock", {"schedule": EACH_SECOND, "sink": BROKER_SINK})
    await reader.until(lambda: bool(reader.got))
    assert "knativearrivaltime" in reader.got[0].attributes


async def test_what_a_sink_refuses_for_a_while_is_sent_again(world: World) -> None:
    refusals = iter((503, 503))
    sink = await world.subscriber(lambda event: web.Response(status=next(refusals, 202)))
    await world.mesh.bench.create(PING_SOURCE, "clock", {"schedule": EACH_SECOND, "sink": {"uri": sink.url}})
    await sink.until(lambda: sink.refused == 2 and bool(sink.got))


async def test_a_source_waits_for_its_sink_and_says_so(world: World) -> None:
    reference = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "later"}
    await world.mesh.bench.create(PING_SOURCE, "clock", {"schedule": EACH_SECOND, "sink": {"ref": reference}})
    waiting = await world.mesh.bench.until(PING_SOURCE, "clock", lambda obj: condition(obj, "Ready") is not None)
    said = condition(waiting, "SinkProvided") or {}
    assert (said["status"], said["message"]) == ("False", 'brokers.eventing.knative.dev "later" not found')


@pytest.mark.parametrize("version", [PING_SOURCE, PING_SOURCE_V1BETA2])
async def test_a_source_that_cannot_work_is_refused_in_every_version(world: World, version: Resource) -> None:
    with pytest.raises(ApiError, match="denied the request: validation failed: .*schedule"):
        await world.mesh.bench.create(version, "clock", {"schedule": "never", "sink": {"uri": "http://x/"}})
