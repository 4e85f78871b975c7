"""What senders are answered, on real sockets."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.activator.broker.ingress import LEAST_MAX_EVENT_BYTES, MAX_EVENT_BYTES, MOST_MAX_EVENT_BYTES
from eventmesh.kube.resources import BROKER
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import SHOP, Received, event_headers
from tests.waiting import WAIT_S

STRUCTURED = {"content-type": "application/cloudevents+json"}
EVENT = {"specversion": "1.0", "id": "1", "source": "/tests", "type": "order", "data": {"n": 1}}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def test_bad_requests_are_told_what_is_wrong_and_the_next_event_is_taken(world: World) -> None:
    other = {"eventing.knative.dev/broker.class": "Kafka"}
    await world.mesh.bench.create(BROKER, "kafka", {}, annotations=other)
    whole = event_headers("1")

    def without(name: str) -> dict[str, str]:
        return {key: value for key, value in whole.items() if key != f"ce-{name}"}

    batch = {"content-type": "application/cloudevents-batch+json"}
    avro = {"content-type": "application/cloudevents+avro"}
    cases: list[tuple[int, str, dict[str, Any]]] = [
        (404, "/<namespace>/<broker>", {"path": "/"}),
        (404, 'no broker "none" in namespace "default"', {"path": "/default/none"}),
        (404, 'no broker "shop" in namespace "other"', {"path": "/other/shop"}),
        (404, 'no broker "kafka"', {"path": "/default/kafka"}),
        (400, "is not /<namespace>/<broker>", {"path": "/default/shop/more"}),
        (405, "POST", {"method": "GET", "body": None}),
        (400, "specversion", {"headers": {"content-type": "text/plain"}}),
        (400, '"id"', {"headers": without("id")}),
        (400, '"source"', {"headers": without("source")}),
        (400, '"type"', {"headers": {**whole, "ce-type": ""}}),
        (400, "0.3", {"headers": {**whole, "ce-specversion": "0.3"}}),
        (400, "percent", {"headers": {**whole, "ce-subject": "%C0%A0"}}),
        (400, "knativebrokerttl", {"headers": {**whole, "ce-knativebrokerttl": "1"}}),
        (400, "batch is not a JSON array", {"headers": batch, "body": json.dumps(EVENT)}),
        (400, '"id"', {"headers": batch, "body": json.dumps([EVENT, {**EVENT, "id": ""}])}),
        (415, "batch+xml", {"headers": {"content-type": "application/cloudevents-batch+xml"}, "body": b"x"}),
        (400, "", {"headers": STRUCTURED, "body": "{"}),
        (400, '"id"', {"headers": STRUCTURED, "body": json.dumps({**EVENT, "id": ""})}),
        (415, "avro", {"headers": avro, "body": b"x"}),
    ]
    for status, words, request in cases:
        answer = await world.ask(**{"headers": whole, **request})
        assert (answer.status, words in answer.text) == (status, True), (request, answer)
    assert (await world.ask(headers=STRUCTURED, body=json.dumps(EVENT))).status == 202


async def test_options_names_what_is_allowed_as_webhooks_ask(world: World) -> None:
    answer = await world.ask(method="OPTIONS", body=None, headers={"webhook-request-origin": "x.example"})
    assert answer.status == 200
    assert answer.headers["allow"] == "POST, OPTIONS"
    assert answer.headers["webhook-allowed-origin"] == "*"


async def test_an_event_of_the_largest_size_is_delivered_whole_and_one_byte_more_is_refused(world: World) -> None:
    subscriber = await world.subscriber()
    await world.trigger("all", subscriber)
    largest = bytes(range(256)) * (MAX_EVENT_BYTES // 256)

    async def chunked(body: bytes) -> AsyncIterator[bytes]:
        yield body[:100_000]
        yield body[100_000:]

    for number, body in enumerate((io.BytesIO(largest), chunked(largest))):
        assert (await world.ask(body=body, headers=event_headers(f"fits-{number}"))).status == 202
    await subscriber.until(lambda: len(subscriber.got) == 2)
    assert all(event.body == largest for event in subscriber.got)

    refused = await world.ask(body=io.BytesIO(largest + b"x"), headers=event_headers("long"))
    assert refused.status == 413
    refused = await world.ask(body=chunked(largest + b"x"), headers=event_headers("long"))
    assert refused.status == 413
    await world.send("after")
    await subscriber.until(lambda: len(subscriber.got) == 3)
    assert subscriber.ids() == {"fits-0", "fits-1", "after"}


@pytest.mark.parametrize("limit", [LEAST_MAX_EVENT_BYTES, MOST_MAX_EVENT_BYTES])
async def test_events_and_replies_are_as_long_as_the_activator_is_told(tmp_path: Path, limit: int) -> None:
    def replying(event: Received) -> web.Response:
        body = b"x" * (limit + (event.id == "long"))
        return web.Response(headers=event_headers(f"reply-{event.id}", type="reply"), body=body)

    async with world_in(tmp_path, limit) as world:
        replies = await world.subscriber()
        await world.trigger("replies", replies, type="reply")
        await world.trigger("orders", await world.subscriber(replying), {"retry": 0}, type="order")
        refused = await world.ask(body=io.BytesIO(b"x" * (limit + 1)), headers=event_headers("longer"))
        assert refused.status == 413
        await world.send("long")
        kept = await world.log.heard("event kept as dead letter", trigger="default/orders")
        assert "no answer" in str(kept["reason"])
        assert (await world.ask(body=io.BytesIO(b"x" * limit), headers=event_headers("whole"))).status == 202
        await replies.until(lambda: replies.ids() == {"reply-whole"})
        assert len(replies.got[0].body) == limit


async def test_raw_utf8_in_a_header_is_taken_and_goes_on_percent_encoded(world: World) -> None:
    subscriber = await world.subscriber()
    await world.trigger("all", subscriber)
    host, _, port = world.broker.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        lines = [
            f"{name}: {said}" for name, said in {**event_headers("1"), "ce-subject": "Gr\u00fc\u00dfe \u20ac"}.items()
        ]
        head = "\r\n".join([f"POST /default/{SHOP} HTTP/1.1", "host: broker", *lines, "content-length: 2"])
        writer.write(f"{head}\r\n\r\n".encode() + b"{}")
        assert (await asyncio.wait_for(reader.readline(), WAIT_S)).startswith(b"HTTP/1.1 202 ")
    finally:
        writer.close()
    await subscriber.until(lambda: bool(subscriber.got))
    assert subscriber.got[0].headers["ce-subject"] == "Gr%C3%BC%C3%9Fe%20%E2%82%AC"
