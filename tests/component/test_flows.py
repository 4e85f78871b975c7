"""Sequences and Parallels: real controllers, a real activator, functions that answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from aiohttp import web

from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import CHANNEL, IN_MEMORY_CHANNEL, PARALLEL, SEQUENCE, SUBSCRIPTION, TRIGGER
from eventmesh.kube.status import condition, is_ready
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import Answering, Received, Subscriber, event_headers


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


def adding(word: str) -> Answering:
    """Return a function that answers with the event's body and one word more."""

    def answer(event: Received) -> web.Response:
        return web.Response(status=200, headers=event_headers(event.id), body=event.body + word.encode())

    return answer


def passing(subject: str) -> Answering:
    """Return a filter: it answers with the event when its subject is that one, and with nothing otherwise."""

    def answer(event: Received) -> web.Response:
        if event.attributes.get("subject") != subject:
            return web.Response(status=200)
        return web.Response(status=200, headers=event_headers(event.id, subject=subject), body=event.body)

    return answer


async def flow(world: World, resource: Resource, **spec: Any) -> Object:
    await world.mesh.bench.create(resource, "f", spec)
    return await world.mesh.bench.until(resource, "f", is_ready)


async def send(world: World, flow: Object, event_id: str, **attributes: str) -> None:
    host = flow["status"]["address"]["url"].removeprefix("http://")
    headers = {**event_headers(event_id, **attributes), "host": host}
    assert (await world.ask("/", body=b"", headers=headers)).status == 202


async def change(world: World, **spec: Any) -> None:
    await world.mesh.bench.api.patch(SEQUENCE, "f", {"spec": spec}, "default")


async def names(world: World, resource: Resource) -> list[str]:
    return sorted(obj["metadata"]["name"] for obj in (await world.mesh.bench.api.list(resource, "default")).items)


def uri(subscriber: Subscriber) -> dict[str, str]:
    return {"uri": subscriber.url}


async def test_each_step_of_a_sequence_gets_the_answer_of_the_one_before(world: World) -> None:
    steps = [await world.subscriber(adding(word)) for word in ("a", "b", "c")]
    end = await world.subscriber()
    made = await flow(world, SEQUENCE, steps=[uri(step) for step in steps], reply=uri(end))
    assert made["status"]["address"]["url"] == "http://f-kn-sequence-0-kn-channel.default.svc.cluster.local"
    assert [shown["channel"]["name"] for shown in made["status"]["channelStatuses"]] == [
        f"f-kn-sequence-{number}" for number in range(3)
    ]
    assert {shown["ready"]["status"] for shown in made["status"]["subscriptionStatuses"]} == {"True"}
    await send(world, made, "1")
    await end.until(lambda: bool(end.got))
    assert [each.got[0].body for each in (*steps, end)] == [b"", b"a", b"ab", b"abc"]


async def test_a_shorter_sequence_leaves_nothing_of_the_longer_one(world: World) -> None:
    first, second, end = await world.subscriber(adding("a")), await world.subscriber(), await world.subscriber()
    made = await flow(world, SEQUENCE, steps=[uri(first), uri(second)], channelTemplate=template(CHANNEL))
    assert await names(world, CHANNEL) == ["f-kn-sequence-0", "f-kn-sequence-1"]
    await change(world, steps=[uri(first)], reply=uri(end))
    made = await world.mesh.bench.until(SEQUENCE, "f", lambda obj: is_ready(obj) and obj["metadata"]["generation"] == 2)
    await send(world, made, "1")
    await end.until(lambda: bool(end.got))
    assert (end.got[0].body, second.got) == (b"a", [])
    assert await names(world, CHANNEL) == await names(world, SUBSCRIPTION) == ["f-kn-sequence-0"]
    await change(world, reply=None)
    await world.mesh.bench.until(SUBSCRIPTION, "f-kn-sequence-0", lambda obj: "reply" not in obj["spec"])


async def test_other_channels_between_the_steps_take_the_place_of_the_first(world: World) -> None:
    end = await world.subscriber()
    made = await flow(world, SEQUENCE, steps=[uri(end)], channelTemplate=template(CHANNEL))
    await change(world, channelTemplate=template(IN_MEMORY_CHANNEL))
    made = await world.mesh.bench.until(SEQUENCE, "f", lambda obj: is_ready(obj) and obj["metadata"]["generation"] == 2)
    assert await names(world, CHANNEL) == []
    await send(world, made, "1")
    await end.until(lambda: bool(end.got))


async def test_each_branch_of_a_parallel_gets_what_its_filter_lets_through(world: World) -> None:
    only_tea, tea = await world.subscriber(passing("tea")), await world.subscriber(adding("tea"))
    everything, end = await world.subscriber(adding("any")), await world.subscriber()
    own = await world.subscriber()
    branches = [
        {"filter": uri(only_tea), "subscriber": uri(tea)},
        {"subscriber": uri(everything), "reply": uri(own)},
    ]
    made = await flow(world, PARALLEL, branches=branches, reply=uri(end))
    assert made["status"]["address"]["url"] == "http://f-kn-parallel-kn-channel.default.svc.cluster.local"
    assert made["status"]["ingressChannelStatus"]["ready"]["status"] == "True"
    assert len(made["status"]["branchStatuses"]) == 2
    await send(world, made, "1", subject="coffee")
    await send(world, made, "2", subject="tea")
    await end.until(lambda: bool(end.got))
    await own.until(lambda: len(own.got) == 2)
    assert [(event.id, event.body) for event in end.got] == [("2", b"tea")]
    assert {(event.id, event.body) for event in own.got} == {("1", b"any"), ("2", b"any")}


async def test_a_trigger_may_lead_into_a_sequence(world: World) -> None:
    end = await world.subscriber()
    await flow(world, SEQUENCE, steps=[uri(end)])
    reference = {"apiVersion": "flows.knative.dev/v1", "kind": "Sequence", "name": "f"}
    await world.mesh.bench.create(TRIGGER, "into", {"broker": "shop", "subscriber": {"ref": reference}})
    await world.log.heard("delivering", trigger="default/into")
    await world.send("1")
    await end.until(lambda: bool(end.got))
    assert end.ids() == {"1"}


async def test_a_flow_of_channels_that_nobody_makes_says_so(world: World) -> None:
    kafka = {"apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel"}
    await world.mesh.bench.create(SEQUENCE, "f", {"steps": [{"uri": "http://x/"}], "channelTemplate": kafka})
    made = await world.mesh.bench.until(SEQUENCE, "f", lambda obj: condition(obj, "Ready") is not None)
    said = condition(made, "ChannelsReady") or {}
    assert (said["status"], "KafkaChannel" in said["message"]) == ("False", True)


def template(resource: Resource) -> dict[str, str]:
    return {"apiVersion": resource.api_version, "kind": resource.kind}
