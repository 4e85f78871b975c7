"""What reaches subscribers and dead letter sinks, through the real engine."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from aiohttp import web

from eventmesh.activator.broker.attributes import MAX_HOPS
from eventmesh.kube.resources import TRIGGER
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import Answering, Received, Subscriber, event_headers


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


def answering(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Answering:
    return lambda event: web.Response(status=status, body=body, headers=headers)


def delivery(retry: int, sink: Subscriber | None = None, **more: str) -> dict[str, object]:
    block: dict[str, object] = {"retry": retry, "backoffPolicy": "linear", "backoffDelay": "PT0.01S", **more}
    return block if sink is None else {**block, "deadLetterSink": {"uri": sink.url}}


async def test_a_subscriber_outside_the_mesh_gets_the_event_as_it_was_sent(world: World) -> None:
    subscriber = await world.subscriber()
    await world.trigger("all", subscriber)
    headers = {"x-request-id": "r1", "authorization": "Bearer secret", "knative-custom": "k"}
    sent = {**event_headers("1", subject="a%20b"), **headers}
    assert (await world.ask(body=b'{"n":1}', headers=sent)).status == 202
    await subscriber.until(lambda: bool(subscriber.got))
    (got,) = subscriber.got
    assert (got.id, got.body, got.attributes["subject"]) == ("1", b'{"n":1}', "a%20b")
    assert got.headers["content-type"] == "application/json"
    assert (got.headers["x-request-id"], got.headers["knative-custom"]) == ("r1", "k")
    assert (got.headers["prefer"], got.headers["kn-namespace"]) == ("reply", "default")
    assert "authorization" not in got.headers
    assert "knativebrokerttl" not in got.attributes


async def test_a_refused_event_goes_to_the_dead_letter_sink_at_once(world: World) -> None:
    sink, refusing = await world.subscriber(), await world.subscriber(answering(400, b"no such order"))
    await world.trigger("refusing", refusing, delivery(5, sink))
    await world.send("1")
    await sink.until(lambda: bool(sink.got))
    (letter,) = sink.got
    assert refusing.refused == 1, "400 is not retried"
    assert letter.attributes["knativeerrordest"] == refusing.url
    assert letter.attributes["knativeerrorcode"] == "400"
    assert base64.b64decode(letter.attributes["knativeerrordata"]) == b"no such order"


async def test_a_failing_subscriber_is_tried_as_often_as_asked_and_then_the_sink(world: World) -> None:
    sink, failing = await world.subscriber(), await world.subscriber(answering(503))
    await world.trigger("failing", failing, delivery(2, sink))
    await world.send("1")
    await sink.until(lambda: bool(sink.got))
    assert (failing.refused, sink.got[0].attributes["knativeerrorcode"]) == (3, "503")


async def test_a_subscriber_that_does_not_answer_in_time_has_failed(world: World) -> None:
    sink, slow = await world.subscriber(), await world.subscriber(slow_s=10)
    await world.trigger("slow", slow, delivery(0, sink, timeout="PT0.05S"))
    await world.send("1")
    await sink.until(lambda: bool(sink.got))
    assert base64.b64decode(sink.got[0].attributes["knativeerrordata"]) == b"timeout"


async def test_a_subscriber_that_is_not_there_has_failed(world: World) -> None:
    sink, gone = await world.subscriber(), Subscriber()
    async with gone.listening():
        pass
    await world.trigger("gone", gone, delivery(1, sink))
    await world.send("1")
    await sink.until(lambda: bool(sink.got))
    assert base64.b64decode(sink.got[0].attributes["knativeerrordata"]) == b"connect_failed"


async def test_a_dead_letter_that_the_sink_refuses_is_kept_and_told(world: World) -> None:
    sink, failing = await world.subscriber(answering(400)), await world.subscriber(answering(400))
    await world.trigger("failing", failing, delivery(0, sink))
    await world.send("1")
    kept = await world.log.heard("event kept as dead letter", trigger="default/failing")
    assert kept["reason"] == "subscriber: answered 400; dead letter sink: answered 400"


async def test_a_reply_that_is_no_event_is_a_failure_with_its_reason(world: World) -> None:
    sink = await world.subscriber()
    broken = await world.subscriber(answering(200, b"x", {"ce-specversion": "1.0", "ce-id": "1"}))
    await world.trigger("broken", broken, delivery(0, sink))
    await world.send("1")
    await sink.until(lambda: bool(sink.got))
    assert sink.got[0].attributes["knativeerrorcode"] == "502"
    assert b"not a valid event" in base64.b64decode(sink.got[0].attributes["knativeerrordata"])


async def test_a_reply_to_a_202_is_not_routed(world: World) -> None:
    silent = await world.subscriber(answering(202, b"{}", event_headers("reply", type="confirmed")))
    hearing = await world.subscriber()
    await world.trigger("silent", silent, type="order")
    await world.trigger("hearing", hearing, type="confirmed")
    await world.send("1")
    await silent.until(lambda: bool(silent.got))
    await world.send("after", type="confirmed")
    await hearing.until(lambda: bool(hearing.got))
    assert hearing.ids() == {"after"}


async def test_a_loop_of_replies_ends_when_its_hops_are_used_up(world: World) -> None:
    def again(event: Received) -> web.Response:
        return web.Response(status=200, headers=event_headers(f"{event.id}+"), body=b"{}")

    looping = await world.subscriber(again)
    await world.trigger("looping", looping, type="order")
    await world.send("1")
    dropped = await world.log.heard("reply dropped", trigger="looping")
    assert len(looping.got) == MAX_HOPS
    assert "knativebrokerttl" in str(dropped["reason"])


async def test_a_trigger_that_is_made_anew_begins_with_the_next_event(world: World) -> None:
    before, failing, after = await world.subscriber(), await world.subscriber(answering(503)), await world.subscriber()
    await world.trigger("witness", before)
    await world.trigger("again", failing, delivery(10, backoffPolicy="exponential", backoffDelay="PT10S"))
    await world.send("old")
    await failing.until(lambda: failing.refused > 0)
    await world.mesh.bench.api.delete(TRIGGER, "again", "default")
    await world.trigger("again", after)
    await world.send("new")
    await after.until(lambda: bool(after.got))
    await before.until(lambda: len(before.got) == 2)
    assert after.ids() == {"new"}
    assert failing.refused == 1
