"""Brokers and Triggers over the embedded API: what users see in their status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.store.store import Store
from eventmesh.controllers.eventing.admission import ADMISSIONS
from eventmesh.controllers.eventing.app import EventingControllers
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import BROKER, KSERVICE, TRIGGER
from eventmesh.kube.status import condition


class World:
    """An API with the eventing controllers at work."""

    def __init__(self, directory: Path) -> None:
        clock = SystemClock()
        self.store = Store(directory / "store", clock)
        self.embedded = EmbeddedApi(self.store, clock)
        for resource, admission in ADMISSIONS.items():
            self.embedded.admission.register(resource, admission)
        self.api: Api = self.embedded.in_process("ada")
        self.informers = Informers(self.api, clock)
        self.controllers = EventingControllers(self.api, self.informers, clock)

    async def create(self, resource: Resource, name: str, spec: dict[str, Any], **metadata: Any) -> Object:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        return await self.api.create(resource, {**body, "metadata": {"name": name, **metadata}}, "default")

    async def until(self, resource: Resource, name: str, kind: str, status: str) -> Object:
        """Return the object once its condition `kind` has `status`."""
        found = await self.api.list(resource, "default")
        for obj in found.items:
            if _has(obj, name, kind, status):
                return obj
        async for event in self.api.watch(resource, "default", resource_version=found.resource_version):
            if _has(event.object, name, kind, status):
                return event.object
        raise AssertionError("the watch ended")


def _has(obj: Object, name: str, kind: str, status: str) -> bool:
    return obj["metadata"]["name"] == name and (condition(obj, kind) or {}).get("status") == status


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.embedded.start()
    await made.informers.start()
    made.controllers.start()
    yield made
    await made.controllers.stop()
    await made.informers.stop()
    await made.embedded.stop()
    made.store.close()


async def test_a_broker_becomes_ready_with_an_address(world: World) -> None:
    await world.create(BROKER, "shop", {})
    broker = await world.until(BROKER, "shop", "Ready", "True")
    url = "http://broker-ingress.knative-eventing.svc.cluster.local/default/shop"
    assert broker["status"]["address"]["url"] == url


async def test_a_broker_of_another_class_is_left_alone(world: World) -> None:
    other = await world.create(BROKER, "kafka", {}, annotations={"eventing.knative.dev/broker.class": "Kafka"})
    await world.create(BROKER, "shop", {})
    await world.until(BROKER, "shop", "Ready", "True")
    assert await world.api.get(BROKER, "kafka", "default") == other


async def test_a_trigger_waits_for_broker_and_subscriber_and_then_works(world: World) -> None:
    reference = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}
    await world.create(TRIGGER, "t", {"broker": "shop", "subscriber": {"ref": reference, "uri": "events"}})
    waiting = await world.until(TRIGGER, "t", "Ready", "False")
    assert (condition(waiting, "BrokerReady") or {})["reason"] == "BrokerDoesNotExist"
    assert (condition(waiting, "SubscriberResolved") or {})[
        "message"
    ] == 'services.serving.knative.dev "hello" not found'

    service = await world.create(KSERVICE, "hello", {"template": {"spec": {"containers": [{"image": "x"}]}}})
    service["status"] = {"address": {"url": "http://hello.default.svc.cluster.local"}}
    await world.api.replace(KSERVICE, service, subresource="status")
    await world.create(BROKER, "shop", {})
    ready = await world.until(TRIGGER, "t", "Ready", "True")
    assert ready["status"]["subscriberUri"] == "http://hello.default.svc.cluster.local/events"
    assert ready["status"]["observedGeneration"] == 1


async def test_a_triggers_own_delivery_hides_the_brokers_dead_letter_sink(world: World) -> None:
    await world.create(BROKER, "shop", {"delivery": {"retry": 1, "deadLetterSink": {"uri": "http://letters/"}}})
    subscriber = {"uri": "http://example.com/"}
    await world.create(TRIGGER, "follows", {"broker": "shop", "subscriber": subscriber})
    await world.create(TRIGGER, "own", {"broker": "shop", "subscriber": subscriber, "delivery": {"retry": 2}})
    follows = await world.until(TRIGGER, "follows", "Ready", "True")
    own = await world.until(TRIGGER, "own", "Ready", "True")
    assert follows["status"]["deadLetterSinkUri"] == "http://letters/"
    assert "deadLetterSinkUri" not in own["status"]


async def test_a_filter_that_cannot_be_compiled_is_refused_in_words(world: World) -> None:
    with pytest.raises(ApiError, match=r"line 1, column 8: .* a value.*spec\.filters\[0\]\.cesql"):
        await asyncio.wait_for(
            world.create(TRIGGER, "t", {"subscriber": {"uri": "http://x/"}, "filters": [{"cesql": "type = "}]}), 5
        )
