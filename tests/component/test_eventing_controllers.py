"""Brokers and Triggers over the embedded API: what users see in their status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.kube.api import ApiError
from eventmesh.kube.resources import BROKER, CONFIG_MAP, KSERVICE, PING_SOURCE, TRIGGER
from eventmesh.kube.status import condition, is_ready
from tests.component.eventing_world import World, world_in


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def test_a_broker_becomes_ready_with_an_address(world: World) -> None:
    await world.create(BROKER, "shop", {})
    broker = await world.until(BROKER, "shop", "Ready", "True")
    url = "http://broker-ingress.knative-eventing.svc.cluster.local/default/shop"
    assert broker["status"]["address"]["url"] == url


async def test_a_broker_says_which_switches_do_not_hold_for_it(world: World) -> None:
    await world.create(BROKER, "shop", {})
    await world.until(BROKER, "shop", "Ready", "True")
    data = {"kreference-mapping": "enabled"}
    await world.api.create(CONFIG_MAP, {"metadata": {"name": "config-features"}, "data": data}, "knative-eventing")
    told = await world.when(BROKER, "shop", lambda b: bool((condition(b, "Addressable") or {}).get("reason")))
    assert "kreference-mapping: enabled" in (condition(told, "Addressable") or {})["message"]
    await world.api.delete(CONFIG_MAP, "config-features", "knative-eventing")
    await world.when(BROKER, "shop", lambda b: not (condition(b, "Addressable") or {}).get("reason"))


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


async def test_a_trigger_is_ready_when_what_it_depends_on_is(world: World) -> None:
    await world.create(BROKER, "shop", {})
    reference = {"apiVersion": PING_SOURCE.api_version, "kind": PING_SOURCE.kind, "name": "clock"}
    annotations = {"knative.dev/dependency": json.dumps(reference)}
    spec = {"broker": "shop", "subscriber": {"uri": "http://example.com/"}}
    await world.create(TRIGGER, "t", spec, annotations=annotations)
    waiting = await world.until(TRIGGER, "t", "DependencyReady", "False")
    assert (condition(waiting, "DependencyReady") or {})["reason"] == "DependencyDoesNotExist"
    missing = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "name": "later"}
    await world.create(PING_SOURCE, "clock", {"sink": {"ref": missing}})
    reason = (condition(await world.until(PING_SOURCE, "clock", "Ready", "False"), "Ready") or {})["reason"]
    failed = await world.when(TRIGGER, "t", lambda t: (condition(t, "DependencyReady") or {}).get("reason") == reason)
    assert not is_ready(failed)
    await world.create(BROKER, "later", {})
    await world.until(TRIGGER, "t", "Ready", "True")


async def test_a_filter_that_cannot_be_compiled_is_refused_in_words(world: World) -> None:
    with pytest.raises(ApiError, match=r"line 1, column 8: .* a value.*spec\.filters\[0\]\.cesql"):
        await asyncio.wait_for(
            world.create(TRIGGER, "t", {"subscriber": {"uri": "http://x/"}, "filters": [{"cesql": "type = "}]}), 5
        )
