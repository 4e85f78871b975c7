"""What Knative's rekt suite states in matrices, or leaves as stubs: failures against delivery blocks, filters against
events, waits between attempts. Real controllers, a real activator, sinks that listen."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.kube.resources import BROKER
from eventmesh.kube.status import is_ready
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import Answering, Received, Subscriber, event_headers

LONG = 900_000
"""Bytes: below the limit of an event, with its attributes."""

CLOCK_SLACK_S = 0.02
"""What two clocks may differ by over a wait: a wait is compared from below only, so that no busy machine fails it."""


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


def failing(times: int, status: int = 503, headers: dict[str, str] | None = None, body: bytes = b"") -> Answering:
    """Refuse each event that many times, then take it."""
    seen: Counter[str] = Counter()

    def answer(event: Received) -> web.Response:
        seen[event.id] += 1
        refused = seen[event.id] <= times
        return web.Response(status=status, headers=headers, body=body) if refused else web.Response(status=202)

    return answer


async def broker(world: World, name: str, delivery: dict[str, Any]) -> None:
    await world.mesh.bench.create(BROKER, name, {"delivery": delivery})
    await world.mesh.bench.until(BROKER, name, is_ready)


async def trigger(
    world: World, name: str, subscriber: Subscriber, broker: str, delivery: dict[str, Any] | None = None, **only: str
) -> None:
    await world.mesh.trigger(name, subscriber.url, delivery=delivery, broker=broker, annotations=None, **only)
    await world.log.heard("delivering", trigger=f"default/{name}")


async def send(world: World, broker: str, event_id: str, body: bytes = b"{}", **attributes: str) -> None:
    answer = await world.ask(f"/default/{broker}", body=body, headers=event_headers(event_id, **attributes))
    assert answer.status == 202, answer.text


@dataclass(frozen=True)
class Case:
    """A row of the delivery matrix: how often a subscriber fails, and who has the event in the end."""

    name: str
    of_broker: dict[str, Any]
    of_trigger: dict[str, Any] | None
    failures: int
    ends_at: str
    attempts: int


NONE, ONCE, THRICE = ({"retry": retry, "backoffDelay": "PT0.01S"} for retry in (0, 1, 3))
BROKERS_SINK, TRIGGERS_SINK = "the broker's sink", "the trigger's sink"
MATRIX = (
    Case("nothing-configured", NONE, None, 1, "nobody", 1),
    Case("broker-three-of-three", {**THRICE, "deadLetterSink": BROKERS_SINK}, None, 3, "subscriber", 4),
    Case("broker-four-of-three", {**THRICE, "deadLetterSink": BROKERS_SINK}, None, 4, BROKERS_SINK, 4),
    Case("trigger-three-of-three", NONE, THRICE, 3, "subscriber", 4),
    Case("trigger-two-of-one", NONE, ONCE, 2, "nobody", 2),
    Case("trigger-over-broker", ONCE, THRICE, 3, "subscriber", 4),
    Case("trigger-sink-over-broker-sink", {**NONE, "deadLetterSink": BROKERS_SINK},
         {**NONE, "deadLetterSink": TRIGGERS_SINK}, 1, TRIGGERS_SINK, 1),
    Case("trigger-block-without-sink", {**NONE, "deadLetterSink": BROKERS_SINK}, NONE, 1, "nobody", 1),
)  # fmt: skip


async def test_each_row_of_the_delivery_matrix_ends_where_its_delivery_blocks_say(world: World) -> None:
    sinks = {name: await world.subscriber() for name in (BROKERS_SINK, TRIGGERS_SINK)}

    def resolved(delivery: dict[str, Any] | None) -> dict[str, Any] | None:
        sink = (delivery or {}).get("deadLetterSink")
        return delivery if sink is None else {**(delivery or {}), "deadLetterSink": {"uri": sinks[sink].url}}

    subscribers = {}
    for case in MATRIX:
        subscribers[case.name] = await world.subscriber(failing(case.failures))
        await broker(world, case.name, resolved(case.of_broker) or {})
        await trigger(world, case.name, subscribers[case.name], case.name, resolved(case.of_trigger))
        await send(world, case.name, case.name)
    for case in MATRIX:
        subscriber = subscribers[case.name]
        if case.ends_at == "nobody":
            await world.log.heard("event kept as dead letter", trigger=f"default/{case.name}")
        else:
            ends_at = sinks.get(case.ends_at, subscriber)
            await ends_at.until(lambda at=ends_at, case=case: case.name in at.ids())  # type: ignore[misc]
        assert subscriber.refused + len(subscriber.got) == case.attempts, case.name
    assert {name: len(sink.got) for name, sink in sinks.items()} == {BROKERS_SINK: 1, TRIGGERS_SINK: 1}


ROUTES: tuple[tuple[str, tuple[dict[str, str], ...], tuple[bool, ...]], ...] = (
    ("no filter", ({},), (True,)),
    ("a filter that misses", ({"type": "bill"},), (False,)),
    ("a filter that hits", ({"type": "order"},), (True,)),
    ("two that hit", ({"type": "order"}, {"source": "/tests"}), (True, True)),
    ("one of two that hits", ({"type": "order"}, {"type": "bill"}), (True, False)),
    ("two without a filter", ({}, {}), (True, True)),
)


async def test_each_row_of_the_routing_matrix_reaches_whom_its_filters_name(world: World) -> None:
    reached: list[tuple[str, Subscriber, bool]] = []
    for row, (name, filters, hits) in enumerate(ROUTES):
        await broker(world, f"routes-{row}", NONE)
        for column, (only, hit) in enumerate(zip(filters, hits, strict=True)):
            reached.append((name, await world.subscriber(), hit))
            await trigger(world, f"routes-{row}-{column}", reached[-1][1], f"routes-{row}", None, **only)
        await send(world, f"routes-{row}", "e")
    for name, subscriber, hit in reached:
        if hit:
            await subscriber.until(lambda s=subscriber: bool(s.got))  # type: ignore[misc]
            assert len(subscriber.got) == 1, name
    # Nobody is past an event that is still under way: what a later one has reached, no earlier one will.
    for row, (_, filters, _) in enumerate(ROUTES):
        for _ in filters:
            await send(world, f"routes-{row}", "after", type="bill" if {"type": "bill"} in filters else "order")
    for name, subscriber, hit in reached:
        if not hit:
            await subscriber.until(lambda s=subscriber: "after" in s.ids())  # type: ignore[misc]
            assert "e" not in subscriber.ids(), name


async def test_a_reply_of_the_first_reaches_the_second_however_long_it_is(world: World) -> None:
    answer = web.Response
    first = await world.subscriber(
        lambda event: answer(status=200, headers=event_headers("reply", type="priced"), body=b"y" * LONG)
    )
    second = await world.subscriber()
    await trigger(world, "first", first, "shop", type="order")
    await trigger(world, "second", second, "shop", type="priced")
    await send(world, "shop", "long", b"x" * LONG)
    await second.until(lambda: bool(second.got))
    assert (first.got[0].body, second.got[0].body) == (b"x" * LONG, b"y" * LONG)
    assert second.got[0].attributes["type"] == "priced"


@pytest.mark.parametrize(
    ("policy", "waits"), [("linear", [0.1, 0.2, 0.3]), ("exponential", [0.1, 0.2, 0.4])], ids=["linear", "exponential"]
)
async def test_attempts_are_as_far_apart_as_the_policy_says(world: World, policy: str, waits: list[float]) -> None:
    delivery = {"retry": 3, "backoffPolicy": policy, "backoffDelay": "PT0.1S"}
    measured = await gaps(world, failing(3), delivery)
    assert len(measured) == len(waits)
    assert all(gap >= wait - CLOCK_SLACK_S for gap, wait in zip(measured, waits, strict=True)), measured


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_holds_an_attempt_back_no_longer_than_is_allowed(world: World, status: int) -> None:
    asked = failing(1, status, {"retry-after": "3600"})
    bounded = {"retry": 1, "backoffDelay": "PT0.01S", "retryAfterMax": "PT0.4S"}
    (wait,) = await gaps(world, asked, bounded)
    assert wait >= 0.4 - CLOCK_SLACK_S


async def test_retry_after_is_not_heard_without_a_bound_or_of_another_answer(world: World) -> None:
    # Had it been, none would come within the test's deadline.
    await gaps(world, failing(1, 503, {"retry-after": "3600"}), {"retry": 1, "backoffDelay": "PT0.01S"})
    bounded = {"retry": 1, "backoffDelay": "PT0.01S", "retryAfterMax": "PT3600S"}
    await gaps(world, failing(1, 500, {"retry-after": "3600"}), bounded)


async def gaps(world: World, answer: Answering, delivery: dict[str, Any]) -> list[float]:
    """Return the seconds between the attempts at an event that is delivered in the end, each no less than it was."""
    at: list[float] = []
    subscriber = await world.subscriber(answer)
    subscriber.on_event = lambda: at.append(time.monotonic())
    name = f"waits-{len(world.log.lines)}"
    await trigger(world, name, subscriber, "shop", delivery, type=name)
    await send(world, "shop", "e", type=name)
    await subscriber.until(lambda: bool(subscriber.got))
    return [later - earlier for earlier, later in zip(at, at[1:], strict=False)]


async def test_each_event_is_tried_again_until_it_is_taken_whatever_becomes_of_others(world: World) -> None:
    fibonacci = {f"e{number}": failures for number, failures in enumerate([1, 1, 2, 3, 5, 8])}
    left = dict(fibonacci)

    def answer(event: Received) -> web.Response:
        left[event.id] -= 1
        return web.Response(status=202 if left[event.id] < 0 else 500)

    subscriber = await world.subscriber(answer)
    await trigger(world, "fibonacci", subscriber, "shop", {"retry": 8, "backoffDelay": "PT0S"})
    for event_id in fibonacci:
        await send(world, "shop", event_id)
    await subscriber.until(lambda: subscriber.ids() == set(fibonacci))
    assert subscriber.refused == sum(fibonacci.values())


async def test_a_dead_letter_says_what_was_answered_and_a_flaky_sink_gets_it_in_the_end(world: World) -> None:
    sink = await world.subscriber(failing(2))
    silent, telling = [await world.subscriber(failing(1, 422, body=body)) for body in (b"", b"no such order")]
    gone = Subscriber()
    async with gone.listening():
        pass
    for name, subscriber in (("silent", silent), ("telling", telling), ("gone", gone)):
        delivery = {"retry": 2, "backoffDelay": "PT0.01S", "deadLetterSink": {"uri": sink.url}}
        await trigger(world, name, subscriber, "shop", delivery, type=name)
        await send(world, "shop", name, type=name)
    await sink.until(lambda: len(sink.got) == 3)
    letters = {letter.id: letter.attributes for letter in sink.got}
    assert {name: letter["knativeerrorcode"] for name, letter in letters.items()} == {
        "silent": "422",
        "telling": "422",
        "gone": "500",
    }
    assert {name: letter["knativeerrordest"] for name, letter in letters.items()} == {
        "silent": silent.url,
        "telling": telling.url,
        "gone": gone.url,
    }
    assert "knativeerrordata" not in letters["silent"]
    assert base64.b64decode(letters["telling"]["knativeerrordata"]) == b"no such order"
    assert base64.b64decode(letters["gone"]["knativeerrordata"]) == b"connect_failed"


@pytest.mark.parametrize("form", ["json", "binary"])
async def test_a_delivery_has_the_format_that_it_asks_for_its_dead_letter_too(world: World, form: str) -> None:
    sink, subscriber = await world.subscriber(), await world.subscriber(failing(1, 400))
    delivery = {"retry": 0, "format": form, "deadLetterSink": {"uri": sink.url}}
    await trigger(world, "formed", subscriber, "shop", delivery)
    await send(world, "shop", "e", b'{"n": 1}', subject="s")
    await sink.until(lambda: bool(sink.got))
    (letter,) = sink.got
    types = {"json": "application/cloudevents+json; charset=utf-8", "binary": "application/json"}
    assert letter.headers["content-type"] == types[form]
    assert (letter.id, letter.attributes["subject"], letter.attributes["knativeerrorcode"]) == ("e", "s", "400")
    assert letter.body == b'{"n": 1}' if form == "binary" else b'"data":{"n":1}' in letter.body.replace(b" ", b"")
