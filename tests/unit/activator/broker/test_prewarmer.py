"""Pre-warming among the broker's other parts: what is learned, from whom, and where it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from eventmesh.activator.broker.prewarmer import LOOK_AGAIN_S, MAX_LOOKED, WOKEN
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event
from tests.unit.activator.broker.fixed_triggers import BROKER, FixedTriggers
from tests.unit.activator.broker.offline_broker import Answered, Broker, opened, settled
from tests.waiting import WAIT_S

MAIL = "http://mail/"


def confirmed(uri: str, event: Event) -> Answered:
    if uri != "http://confirm/":
        return Answered()
    reply = Event({"id": f"{event.id}-r", "source": "/confirm", "type": "confirmed", "specversion": "1.0"}, b"[]")
    return Answered(200, *http.encode_binary(reply))


@pytest_asyncio.fixture
async def triggers() -> FixedTriggers:
    made = FixedTriggers()
    made.budgets = {BROKER: 4}
    made.add("confirm", type="order")
    made.add("mail", type="confirmed")
    return made


@pytest_asyncio.fixture
async def broker(tmp_path: Path, triggers: FixedTriggers) -> AsyncIterator[Broker]:
    made = await begun(tmp_path, triggers)
    yield made
    await made.stop()


async def begun(directory: Path, triggers: FixedTriggers) -> Broker:
    made = Broker(directory, triggers)
    made.subscribers.script = confirmed
    for name in ("confirm", "mail"):
        await opened(made, name)
    return made


async def until_woken(broker: Broker, source: str) -> int:
    """Send orders until the mail function was woken on a guess; return the sequence of the first that did.

    Each from a source of its own, since those of one source are looked at once a second.
    """
    async with asyncio.timeout(WAIT_S):
        number = 0
        while MAIL in broker.asleep:
            number += 1
            attributes = {"id": str(number), "source": f"/{source}/{number}", "type": "order", "specversion": "1.0"}
            last = await broker.ingress.accept(BROKER, Event(attributes), ())
    return last.sequence


def guesses(broker: Broker) -> dict[str, object]:
    rows = broker.prewarmer.statistics().counters
    return {str(labels["outcome"]): value for _, labels, value in rows if isinstance(labels, dict)}


async def test_a_function_is_woken_before_its_event_is_there_and_the_timeline_says_so(broker: Broker) -> None:
    await broker.send(1)
    await asyncio.wait_for(settled(broker, ("demo/mail", "delivered"), 1), WAIT_S)
    broker.asleep.add(MAIL)
    cause = await until_woken(broker, "second")
    async with asyncio.timeout(WAIT_S):
        while guesses(broker) != {"used": 1}:
            await asyncio.sleep(0.005)
        while True:
            timeline = await broker.store.history.timeline(cause)
            assert timeline is not None
            if any(made.reason == WOKEN and made.name == "demo/mail" for made in timeline.attempts):
                break
            await asyncio.sleep(0.005)


async def test_a_restart_begins_with_what_the_store_knows(tmp_path: Path, triggers: FixedTriggers) -> None:
    before = await begun(tmp_path, triggers)
    await before.send(1)
    await asyncio.wait_for(settled(before, ("demo/mail", "delivered"), 1), WAIT_S)
    await before.stop()
    after = await begun(tmp_path, triggers)
    # From now on nobody replies: only the past can say what follows.
    after.subscribers.script = lambda uri, event: Answered(503)
    after.asleep.add(MAIL)
    try:
        await until_woken(after, "after")
    finally:
        await after.stop()


async def test_a_broker_that_does_not_ask_for_it_has_nobody_woken(broker: Broker, triggers: FixedTriggers) -> None:
    triggers.budgets = {}
    triggers.add("journal")
    broker.asleep.add(MAIL)
    for number in range(3):
        await broker.send(number)
    await asyncio.wait_for(settled(broker, ("demo/mail", "delivered"), 3), WAIT_S)
    assert broker.asleep == {MAIL}
    assert guesses(broker) == {}


async def test_a_trigger_that_is_gone_is_not_counted_any_more(broker: Broker, triggers: FixedTriggers) -> None:
    await broker.send(1)
    await asyncio.wait_for(settled(broker, ("demo/mail", "delivered"), 1), WAIT_S)
    broker.asleep.add(MAIL)
    await until_woken(broker, "second")
    async with asyncio.timeout(WAIT_S):
        while guesses(broker) != {"used": 1}:
            await asyncio.sleep(0.005)
    triggers.unresolve("mail")
    assert guesses(broker) == {}


async def test_events_alike_are_looked_at_once_a_second_and_their_kinds_are_bounded(broker: Broker) -> None:
    attributes = {"id": "1", "type": "order", "specversion": "1.0"}
    stored = [StoredEvent(number, 0.0, BROKER, Event({**attributes, "source": f"/{number}"})) for number in range(2)]
    looked = broker.prewarmer._looked_lately
    assert looked(stored[0], 1000.0 + LOOK_AGAIN_S) is False
    assert looked(stored[0], 1000.0 + LOOK_AGAIN_S) is True
    assert looked(stored[1], 1000.0 + LOOK_AGAIN_S) is False
    assert looked(stored[0], 1000.0 + 2 * LOOK_AGAIN_S) is False
    broker.prewarmer._looked.update({number: 0.0 for number in range(MAX_LOOKED)})
    looked(stored[1], 2000.0)
    assert len(broker.prewarmer._looked) <= MAX_LOOKED
