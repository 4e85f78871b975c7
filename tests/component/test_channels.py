"""Channels and Subscriptions: real controllers, real control, a real activator, subscribers that listen."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.kube.api import ApiError, Object, Resource
from eventmesh.kube.resources import CHANNEL, IN_MEMORY_CHANNEL, SERVICE, SUBSCRIPTION
from eventmesh.kube.status import condition, is_ready
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import SHOP, Received, Subscriber, event_headers

ORDERS = "http://orders-kn-channel.default.svc.cluster.local"
BROKER_REFERENCE = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": SHOP}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


def reference(name: str, resource: Resource = CHANNEL) -> dict[str, str]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "name": name}


async def channel(world: World, name: str, resource: Resource = CHANNEL, **spec: Any) -> Object:
    await world.mesh.bench.create(resource, name, spec)
    return await world.mesh.bench.until(resource, name, is_ready)


async def subscribe(
    world: World, name: str, subscriber: Subscriber | dict[str, Any], to: dict[str, str], **spec: Any
) -> Object:
    """Return the Subscription once it is Ready: from then on it misses nothing."""
    destination = {"uri": subscriber.url} if isinstance(subscriber, Subscriber) else subscriber
    await world.mesh.bench.create(SUBSCRIPTION, name, {"channel": to, "subscriber": destination, **spec})
    return await world.mesh.bench.until(SUBSCRIPTION, name, is_ready)


async def send(world: World, name: str, event_id: str, **attributes: str) -> None:
    headers = {**event_headers(event_id, **attributes), "host": f"{name}-kn-channel.default.svc.cluster.local"}
    assert (await world.ask("/", headers=headers)).status == 202


async def arrived(subscriber: Subscriber) -> None:
    await subscriber.until(lambda: bool(subscriber.got))


def replying(event: Received) -> web.Response:
    return web.Response(status=200, headers=event_headers(f"{event.id}-reply", type="priced"), body=b"{}")


async def test_an_event_reaches_every_subscriber_of_its_channel_and_nobody_elses(world: World) -> None:
    made = await channel(world, "orders")
    await channel(world, "bills", IN_MEMORY_CHANNEL)
    assert made["status"]["address"]["url"] == ORDERS
    assert made["status"]["channel"]["kind"] == "InMemoryChannel"
    first, second, other = await world.subscriber(), await world.subscriber(), await world.subscriber()
    await subscribe(world, "first", first, reference("orders"))
    await subscribe(world, "second", second, reference("orders", IN_MEMORY_CHANNEL))
    await subscribe(world, "other", other, reference("bills", IN_MEMORY_CHANNEL))
    await send(world, "orders", "1", subject="7")
    await send(world, "bills", "2")
    for subscriber in (first, second, other):
        await arrived(subscriber)
    assert (first.ids(), second.ids(), other.ids()) == ({"1"}, {"1"}, {"2"})
    assert first.got[0].headers["prefer"] == "reply"
    added = first.got[0].attributes.keys() - {"id", "source", "type", "specversion", "subject"}
    assert added == set()
    shown = await world.mesh.bench.until(CHANNEL, "orders", lambda obj: len(obj["status"].get("subscribers", [])) == 2)
    assert {entry["ready"] for entry in shown["status"]["subscribers"]} == {"True"}


async def test_replies_go_where_the_subscription_says(world: World) -> None:
    await channel(world, "orders")
    await channel(world, "priced")
    function, at_channel = await world.subscriber(replying), await world.subscriber()
    at_broker, outside = await world.subscriber(), await world.subscriber()
    await subscribe(world, "read", at_channel, reference("priced"))
    await world.trigger("priced", at_broker, type="priced")
    orders = reference("orders")
    await subscribe(world, "to-channel", function, orders, reply={"ref": reference("priced")})
    await subscribe(world, "to-broker", function, orders, reply={"ref": BROKER_REFERENCE})
    await subscribe(world, "to-outside", function, orders, reply={"uri": outside.url})
    await subscribe(world, "to-nobody", function, orders)
    await send(world, "orders", "1")
    for subscriber in (at_channel, at_broker, outside):
        await arrived(subscriber)
        assert subscriber.ids() == {"1-reply"}
    assert "knativebrokerttl" not in outside.got[0].attributes


async def test_what_cannot_be_delivered_goes_to_the_subscriptions_sink_else_to_the_channels(world: World) -> None:
    own, fallback = await world.subscriber(), await world.subscriber()
    failing = await world.subscriber(lambda event: web.Response(status=400, body=b"no"))
    await channel(world, "orders", delivery={"retry": 0, "deadLetterSink": {"uri": fallback.url}})
    block = {"retry": 0, "deadLetterSink": {"uri": own.url}}
    await subscribe(world, "own", failing, reference("orders"), delivery=block)
    made = await subscribe(world, "follows", failing, reference("orders"))
    assert made["status"]["physicalSubscription"]["deadLetterSinkUri"] == fallback.url
    await send(world, "orders", "1")
    for sink in (own, fallback):
        await arrived(sink)
        assert base64.b64decode(sink.got[0].attributes["knativeerrordata"]) == b"no"


async def test_a_reply_that_nobody_takes_fails_the_delivery(world: World) -> None:
    letters, function = await world.subscriber(), await world.subscriber(replying)
    await channel(world, "orders")
    block = {"retry": 0, "deadLetterSink": {"uri": letters.url}}
    refusing = await world.subscriber(lambda event: web.Response(status=403))
    await subscribe(world, "s", function, reference("orders"), reply={"uri": refusing.url}, delivery=block)
    await send(world, "orders", "1")
    await letters.until(lambda: bool(letters.got))
    said = base64.b64decode(letters.got[0].attributes["knativeerrordata"]).decode()
    assert (letters.ids(), said) == ({"1"}, f"the reply went to {refusing.url}, which answered 403")


async def test_a_circle_of_broker_and_channel_ends_when_its_hops_are_used_up(world: World) -> None:
    await channel(world, "orders")
    witness = await world.subscriber()
    await world.trigger("witness", witness)
    await subscribe(world, "back", {"ref": BROKER_REFERENCE}, reference("orders"), delivery={"retry": 0})
    await world.mesh.trigger("out", ORDERS, delivery={"retry": 0})
    await world.log.heard("delivering", trigger="default/out")
    await world.send("1", knativebrokerttl="12")
    await world.log.heard("event kept as dead letter")
    await witness.until(lambda: len(witness.got) == 6)


async def test_a_subscription_says_what_it_waits_for(world: World) -> None:
    bench = world.mesh.bench
    hello = {"ref": {"apiVersion": "v1", "kind": "Service", "name": "hello"}}
    await bench.create(SUBSCRIPTION, "early", {"channel": reference("late"), "subscriber": hello})
    waiting = await bench.until(SUBSCRIPTION, "early", lambda obj: condition(obj, "ReferencesResolved") is not None)
    said = condition(waiting, "ReferencesResolved") or {}
    assert (said["status"], said["reason"]) == ("Unknown", "ChannelReferenceFailed")
    await channel(world, "late")
    failed = await bench.until(SUBSCRIPTION, "early", lambda obj: _reason(obj) == "SubscriberResolveFailed")
    assert (condition(failed, "Ready") or {})["message"] == (
        'Failed to resolve spec.subscriber: services "hello" not found'
    )
    await bench.create(SERVICE, "hello", {"ports": [{"port": 80}]})
    ready = await bench.until(SUBSCRIPTION, "early", is_ready)
    url = "http://hello.default.svc.cluster.local"
    assert ready["status"]["physicalSubscription"] == {"subscriberUri": url}


async def test_a_subscription_that_goes_is_served_no_more_and_its_channel_forgets_it(world: World) -> None:
    await channel(world, "orders")
    going, staying = await world.subscriber(), await world.subscriber()
    await subscribe(world, "going", going, reference("orders"))
    await subscribe(world, "staying", staying, reference("orders"))
    await world.mesh.bench.api.delete(SUBSCRIPTION, "going", "default")
    await world.mesh.bench.until(
        IN_MEMORY_CHANNEL, "orders", lambda obj: len((obj.get("status") or {}).get("subscribers") or ()) == 1
    )
    await send(world, "orders", "1")
    await staying.until(lambda: bool(staying.got))
    assert going.got == []


async def test_a_channel_of_another_kind_is_not_ready_and_says_why(world: World) -> None:
    template = {"apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel"}
    await world.mesh.bench.create(CHANNEL, "kafka", {"channelTemplate": template})
    made = await world.mesh.bench.until(CHANNEL, "kafka", lambda obj: condition(obj, "BackingChannelReady") is not None)
    said = condition(made, "BackingChannelReady") or {}
    assert (said["status"], "KafkaChannel" in said["message"]) == ("False", True)


async def test_events_for_a_channel_that_is_not_there_are_refused(world: World) -> None:
    headers = {**event_headers("1"), "host": "none-kn-channel.default.svc.cluster.local"}
    answer = await world.ask("/", headers=headers)
    assert (answer.status, answer.text) == (404, 'no channel "none" in namespace "default"\n')


def _reason(obj: Object) -> str:
    return str((condition(obj, "ReferencesResolved") or {}).get("reason"))


async def test_a_subscription_may_ask_for_order_by_a_key_and_for_a_pause(world: World) -> None:
    """The first event of a key is refused a few times; the second of that key waits, those of another key do not."""
    refused: list[str] = []

    def moody(event: Received) -> web.Response | None:
        if event.id == "1" and len(refused) < 3:
            refused.append(event.id)
            return web.Response(status=503)
        return None

    subscriber = await world.subscriber(moody)
    await channel(world, "letters")
    named = {"eventmesh.io/order-by": "partitionkey", "eventmesh.io/paused": "true"}
    delivery = {"retry": 10, "backoffPolicy": "linear", "backoffDelay": "PT0.2S"}
    spec = {"channel": reference("letters"), "subscriber": {"uri": subscriber.url}, "delivery": delivery}
    await world.mesh.bench.create(SUBSCRIPTION, "ordered", spec, annotations=named)
    await world.mesh.bench.until(SUBSCRIPTION, "ordered", is_ready)
    for event_id, key in (("1", "a"), ("2", "a"), ("3", "b")):
        await send(world, "letters", event_id, partitionkey=key)
    assert not subscriber.got and not refused
    on = {"metadata": {"annotations": {"eventmesh.io/paused": "false"}}}
    await world.mesh.bench.api.patch(SUBSCRIPTION, "ordered", on, "default")
    await subscriber.until(lambda: len(subscriber.got) == 3)
    assert [event.id for event in subscriber.got] == ["3", "1", "2"]


async def test_what_a_subscription_cannot_ask_for_is_refused(world: World) -> None:
    spec = {"channel": reference("letters"), "subscriber": {"uri": "http://127.0.0.1:9"}}
    for annotation, value in (("order-by", "No Name"), ("rate", "0"), ("start-from", "earliest"), ("colour", "blue")):
        with pytest.raises(ApiError, match=annotation):
            named = {f"eventmesh.io/{annotation}": value}
            await world.mesh.bench.create(SUBSCRIPTION, "ordered", spec, annotations=named)
