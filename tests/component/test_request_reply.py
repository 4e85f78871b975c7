"""Asking a broker: the request is an event that triggers see, and the answer is the event that names it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from aiohttp import web

from eventmesh.kube.resources import BROKER, REQUEST_REPLY
from eventmesh.kube.status import condition, is_ready
from tests.component.broker_world import Answer, World, world_in
from tests.mesh.broker_mesh import SHOP, Received, event_headers
from tests.waiting import WAIT_S

HOST = "request-reply.knative-eventing.svc.cluster.local"
BROKER_REFERENCE = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "name": SHOP}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def asking(world: World, **spec: Any) -> None:
    await world.mesh.bench.create(REQUEST_REPLY, "ask", {"brokerRef": BROKER_REFERENCE, **spec})
    found = await world.mesh.bench.until(REQUEST_REPLY, "ask", is_ready)
    assert found["status"]["address"]["url"] == f"http://{HOST}/default/ask"


async def ask(world: World, event_id: str, path: str = "/default/ask", method: str = "POST") -> Answer:
    headers = {**event_headers(event_id, type="question"), "host": HOST}
    return await world.ask(path, method, b"{}" if method == "POST" else None, headers)


async def until_known(world: World) -> None:
    """Return when the activator knows the RequestReply: it answers something else than 404."""
    async with asyncio.timeout(WAIT_S):
        while (await world.ask("/default/ask", body=b"", headers={"host": HOST})).status == 404:
            await asyncio.sleep(0.01)


def answering(event: Received, correlation: str = "correlationid", reply: str = "replyid") -> web.Response:
    headers = event_headers(f"{event.id}-answer", type="answer", **{reply: event.attributes[correlation]})
    return web.Response(status=200, headers=headers, body=f'"{event.id}"')


async def test_each_asker_gets_the_answer_to_its_own_question(world: World) -> None:
    await asking(world)
    await world.trigger("answers", await world.subscriber(answering), type="question")
    await until_known(world)
    answers = await asyncio.gather(*(ask(world, str(number)) for number in range(20)))
    assert [(a.status, a.text) for a in answers] == [(200, f'"{number}"') for number in range(20)]
    assert answers[0].headers["ce-type"] == "answer"
    assert "ce-knativebrokerttl" not in answers[0].headers


async def test_the_attributes_are_those_it_names(world: World) -> None:
    await asking(world, correlationAttribute="asked", replyAttribute="answers")
    subscriber = await world.subscriber(lambda event: answering(event, "asked", "answers"))
    await world.trigger("answers", subscriber, type="question")
    await until_known(world)
    assert (await ask(world, "1")).text == '"1"'


async def test_no_answer_in_time_is_504_and_nothing_is_left_behind(world: World) -> None:
    await asking(world, timeout="PT0.05S", delivery={"retry": 3})
    await until_known(world)
    told = await ask(world, "1")
    assert told.status == 504 and "replyid=" in told.text
    found = await world.mesh.bench.until(REQUEST_REPLY, "ask", is_ready)
    assert (condition(found, "TriggersReady") or {})["message"] == "spec.delivery has no effect"
    # An answer that comes too late, or to a question that nobody asked, is an event like any other.
    await world.send("late", replyid="nobody")


async def test_a_guess_at_the_id_of_another_answers_nobody(world: World) -> None:
    seen: list[str] = []

    def forged(event: Received) -> web.Response:
        mark = event.attributes["correlationid"]
        seen.append(mark)
        return (
            answering(event)
            if len(seen) > 1
            else web.Response(
                status=200, headers=event_headers("forged", type="answer", replyid=mark[:-1] + "!"), body=b'"forged"'
            )
        )

    await asking(world, timeout="PT0.2S")
    await world.trigger("answers", await world.subscriber(forged), type="question")
    await until_known(world)
    assert (await ask(world, "1")).status == 504
    assert (await ask(world, "2")).status == 200
    assert len(seen[0]) >= 22 and seen[0] != seen[1]


async def test_what_cannot_be_asked_is_told_apart(world: World) -> None:
    assert (await ask(world, "1", "/default/nobody")).status == 404
    assert (await ask(world, "1", "/default")).status == 400
    assert (await ask(world, "1", method="GET")).status == 405
    await asking(world)
    await until_known(world)
    bare = await world.ask("/default/ask", body=b"", headers={"host": HOST})
    assert (bare.status, "specversion" in bare.text) == (400, True)
    await world.mesh.bench.api.delete(BROKER, SHOP, "default")

    def without_broker(obj: Any) -> bool:
        return (condition(obj, "BrokerReady") or {}).get("status") == "False"

    await world.mesh.bench.until(REQUEST_REPLY, "ask", without_broker)
    async with asyncio.timeout(WAIT_S):
        while (answer := await ask(world, "1")).status != 503:
            await asyncio.sleep(0.01)
    assert SHOP in answer.text
