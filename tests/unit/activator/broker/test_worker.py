"""What a trigger asks for beyond its delivery block, and what an event asks for: order, pause, time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.activator.broker import backlog, delivery, worker
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.values import Attempt, Outcome, Settlement
from eventmesh.cloudevents.event import Event
from eventmesh.model.delivery import BackoffPolicy, DeliveryControls, DeliveryPolicy
from tests.unit.activator.broker.fixed_triggers import BROKER, FixedTriggers
from tests.unit.activator.broker.offline_broker import Answered, Broker, opened, settled
from tests.waiting import WAIT_S

PATIENT = DeliveryPolicy(retry=3, backoff=BackoffPolicy.LINEAR, backoff_delay_s=0.01)
BY_KEY = DeliveryControls(order_by="partitionkey")


@pytest_asyncio.fixture
async def triggers() -> FixedTriggers:
    return FixedTriggers()


@pytest_asyncio.fixture
async def broker(tmp_path: Path, triggers: FixedTriggers) -> AsyncIterator[Broker]:
    made = Broker(tmp_path, triggers)
    yield made
    await made.stop()


def ids(broker: Broker) -> list[str]:
    return [event.id for _, event, _ in broker.subscribers.got]


def at(offset_s: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=offset_s)).isoformat()


@pytest.mark.parametrize(("limit", "most"), [("MAX_LOADED", 512), ("MAX_LOADED", 1), ("MAX_LOADED_BYTES", 3)])
async def test_events_of_one_key_come_in_order_whatever_fails(
    broker: Broker, triggers: FixedTriggers, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    monkeypatch.setattr(worker, limit, most)
    refused: dict[str, int] = {}

    def moody(uri: str, event: Event) -> Answered:
        refused[event.id] = refused.get(event.id, 0) + 1
        return Answered(503 if refused[event.id] <= int(event.id) % 3 else 202)

    broker.subscribers.script = moody
    triggers.add("ordered", PATIENT, BY_KEY)
    await opened(broker, "ordered")
    for number in range(24):
        await broker.send(number, partitionkey=f"k{number % 3 and 1}")
    await asyncio.wait_for(settled(broker, ("demo/ordered", "delivered"), 24), WAIT_S)
    for key in ("k0", "k1"):
        mine = [event.id for _, event, _ in broker.subscribers.got if event.text("partitionkey") == key]
        once = list(dict.fromkeys(mine))
        assert once == sorted(once, key=int)
        assert mine == [one for one in once for _ in range(int(one) % 3 + 1)], "the next waits for all attempts"


async def test_as_many_ends_as_are_recorded_together_wait_for_no_more(
    broker: Broker, triggers: FixedTriggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SETTLE_INTERVAL_S", 3600.0)
    triggers.add("fast")
    await opened(broker, "fast")
    for number in range(worker.SETTLE_TOGETHER):
        await broker.send(number)
    async with asyncio.timeout(WAIT_S):
        while (await broker.store.open_trigger("uid-fast", BROKER)).cursor < worker.SETTLE_TOGETHER:
            await asyncio.sleep(0.01)


async def test_ends_on_their_way_into_the_store_get_there_when_the_work_is_given_up(
    broker: Broker, triggers: FixedTriggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go, settle = asyncio.Event(), asyncio.Event(), broker.store.settle
    written: list[Outcome] = []

    async def slow(ends: Sequence[Settlement], attempts: Sequence[Attempt] = ()) -> None:
        begun.set()
        await go.wait()
        await settle(ends, attempts)
        written.extend(end.outcome for end in ends)

    monkeypatch.setattr(broker.store, "settle", slow)
    triggers.add("all")
    await opened(broker, "all")
    await broker.send(1)
    await asyncio.wait_for(begun.wait(), WAIT_S)
    stopping = asyncio.ensure_future(broker.dispatcher.stop())  # noqa: TID251  # awaited below
    for _ in range(10):
        await asyncio.sleep(0)
    go.set()
    await asyncio.wait_for(stopping, WAIT_S)
    assert written == [Outcome.DELIVERED]


async def queued(
    broker: Broker,
    triggers: FixedTriggers,
    keys: Sequence[str],
    policy: DeliveryPolicy | None = None,
    controls: DeliveryControls | None = None,
) -> None:
    """Have an event of each of the `keys`, dead letters of the trigger `all`, put into its queue."""
    broker.subscribers.script = lambda uri, event: Answered(400)
    await opened(broker, "all")
    count = len(keys)
    for number, key in enumerate(keys):
        await broker.send(number, partitionkey=key)
    triggers.add("all", policy, controls)
    await asyncio.wait_for(settled(broker, ("demo/all", "kept"), count), WAIT_S)
    broker.subscribers.script = lambda uri, event: Answered()
    broker.subscribers.got.clear()
    moved = 0
    async with asyncio.timeout(WAIT_S):
        while moved < count:
            moved += len(await broker.store.queue.redrive(Selection(BROKER), 0.0))


@pytest.mark.parametrize(("unrecorded", "sent"), [(1_000, 20), (8, 8)])
async def test_what_is_queued_waits_for_the_disk_only_when_too_much_is_not_on_it(
    broker: Broker, triggers: FixedTriggers, monkeypatch: pytest.MonkeyPatch, unrecorded: int, sent: int
) -> None:
    monkeypatch.setattr(backlog, "MAX_QUEUED_LOADED", 4)
    monkeypatch.setattr(backlog, "READ_AGAIN_AT", 2)
    monkeypatch.setattr(backlog, "MAX_UNRECORDED", unrecorded)
    monkeypatch.setattr(backlog, "READ_BYTES", 1)
    await queued(broker, triggers, ["k"] * 20)
    begun, go, settle = asyncio.Event(), asyncio.Event(), broker.store.settle

    async def slow(ends: Sequence[Settlement], attempts: Sequence[Attempt] = ()) -> None:
        begun.set()
        await go.wait()
        await settle(ends, attempts)

    monkeypatch.setattr(broker.store, "settle", slow)
    broker.dispatcher.queued("uid-all")
    await broker.subscribers.until(sent)
    await asyncio.wait_for(begun.wait(), WAIT_S)
    assert len(broker.subscribers.got) == sent
    go.set()
    await asyncio.wait_for(settled(broker, ("demo/all", "delivered"), 20), WAIT_S)
    assert len(broker.subscribers.got) == 20


async def test_everything_is_read_though_a_reading_has_a_bound_in_bytes(
    broker: Broker, triggers: FixedTriggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "READ_BYTES", 3)
    await queued(broker, triggers, ["k"] * 9)
    broker.dispatcher.queued("uid-all")
    await asyncio.wait_for(settled(broker, ("demo/all", "delivered"), 9), WAIT_S)
    assert ids(broker) == [str(number) for number in range(9)]


async def test_a_subscriber_that_answers_at_once_gets_everything_though_others_have_their_turn(
    broker: Broker, triggers: FixedTriggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SENDS_IN_TURN", 2)
    monkeypatch.setattr(delivery, "MAX_IN_FLIGHT", 1)
    triggers.add("all", controls=DeliveryControls(paused=True))
    await opened(broker, "all")
    for number in range(20):
        await broker.send(number)
    triggers.control("all", DeliveryControls())
    await asyncio.wait_for(settled(broker, ("demo/all", "delivered"), 20), WAIT_S)
    assert ids(broker) == [str(number) for number in range(20)]


async def test_a_subscriber_that_has_woken_gets_all_that_waited_for_it_at_once(
    broker: Broker, triggers: FixedTriggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SETTLE_INTERVAL_S", 3600.0)
    waiting, refused, together, awake = 5, 0, asyncio.Barrier(5), False

    async def asleep_at_first(*_: object, hold: bool, **__: object) -> Answered:
        nonlocal refused, awake
        if hold:
            async with asyncio.timeout(WAIT_S):
                while refused < waiting:
                    await asyncio.sleep(0.001)
            awake = True
        elif not awake:
            refused += 1
            return Answered(0, error=delivery.NO_CAPACITY)
        else:
            await together.wait()
        return Answered()

    monkeypatch.setattr(broker.subscribers, "post", asleep_at_first)
    await opened(broker, "all")
    for number in range(waiting):
        await broker.send(number)
    triggers.add("all")
    await asyncio.wait_for(together.wait(), WAIT_S)


async def test_a_key_that_is_stuck_holds_up_no_other_even_when_memory_is_full(
    broker: Broker, triggers: FixedTriggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_LOADED", 2)
    broker.subscribers.script = lambda uri, event: Answered(503 if event.text("partitionkey") == "stuck" else 202)
    triggers.add("ordered", DeliveryPolicy(retry=1_000_000, backoff_delay_s=0.05), BY_KEY)
    await opened(broker, "ordered")
    for number in range(600):
        await broker.send(number, partitionkey="stuck")
    await broker.send(1000, partitionkey="free")
    await asyncio.wait_for(settled(broker, ("demo/ordered", "delivered"), 1), WAIT_S)
    assert set(ids(broker)) == {"0", "1000"}


async def test_a_key_that_is_stuck_in_the_queue_holds_up_no_other(
    broker: Broker, triggers: FixedTriggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MAX_QUEUED_LOADED", 4)
    monkeypatch.setattr(backlog, "READ_AGAIN_AT", 2)
    patient = DeliveryPolicy(retry=1_000_000, backoff_delay_s=0.05)
    await queued(broker, triggers, ["stuck"] * 20 + ["free"] * 10, patient, BY_KEY)
    broker.subscribers.script = lambda uri, event: Answered(503 if event.text("partitionkey") == "stuck" else 202)
    broker.dispatcher.queued("uid-all")
    await asyncio.wait_for(settled(broker, ("demo/all", "delivered"), 10), WAIT_S)
    assert list(dict.fromkeys(ids(broker))) == ["0", *map(str, range(20, 30))]


async def test_a_paused_trigger_keeps_its_events_until_it_goes_on(broker: Broker, triggers: FixedTriggers) -> None:
    triggers.add("paused", controls=DeliveryControls(paused=True))
    triggers.add("other")
    for name in ("paused", "other"):
        await opened(broker, name)
    for number in range(3):
        await broker.send(number)
    await asyncio.wait_for(settled(broker, ("demo/other", "delivered"), 3), WAIT_S)
    assert {uri for uri, _, _ in broker.subscribers.got} == {"http://other/"}
    triggers.control("paused", DeliveryControls())
    await asyncio.wait_for(settled(broker, ("demo/paused", "delivered"), 3), WAIT_S)


async def test_an_expired_event_is_not_delivered_and_says_so(broker: Broker, triggers: FixedTriggers) -> None:
    triggers.add("all")
    await opened(broker, "all")
    await broker.send(1, expirytime=at(-60))
    await broker.send(2, expirytime=at(3600))
    await asyncio.wait_for(settled(broker, ("demo/all", "delivered"), 1), WAIT_S)
    assert ids(broker) == ["2"]
    assert broker.dispatcher.measures.outcomes["demo/all", "expired"] == 1
    assert await told(broker, 1) == [(0, Outcome.EXPIRED, "its expirytime had passed")]


async def told(broker: Broker, sequence: int) -> list[tuple[int, Outcome | None, str]]:
    async with asyncio.timeout(WAIT_S):
        while not (timeline := await broker.store.history.timeline(sequence)) or not timeline.attempts:
            await asyncio.sleep(0.01)
    return [(made.number, made.outcome, made.reason) for made in timeline.attempts]


async def test_an_event_that_expires_between_attempts_is_given_up(broker: Broker, triggers: FixedTriggers) -> None:
    broker.subscribers.script = lambda uri, event: Answered(503)
    triggers.add("down", DeliveryPolicy(retry=1_000_000, backoff=BackoffPolicy.LINEAR, backoff_delay_s=0.01))
    await opened(broker, "down")
    await broker.send(1, expirytime=at(0.3))
    await asyncio.wait_for(settled(broker, ("demo/down", "expired"), 1), WAIT_S)
    assert await broker.store.history.dead_letters(Selection(BROKER)) == []


async def test_a_delayed_event_comes_in_its_time_and_holds_up_nobody(broker: Broker, triggers: FixedTriggers) -> None:
    moments: dict[str, datetime] = {}

    def note(uri: str, event: Event) -> Answered:
        moments[event.id] = datetime.now(UTC)
        return Answered()

    broker.subscribers.script = note
    triggers.add("all")
    await opened(broker, "all")
    due = at(0.6)
    await broker.send(1, deliverafter=due)
    await broker.send(2, deliverafter=at(-60))
    await broker.send(3)
    await asyncio.wait_for(settled(broker, ("demo/all", "delivered"), 3), WAIT_S)
    assert ids(broker)[-1] == "1"
    assert moments["1"] >= datetime.fromisoformat(due)


async def test_delayed_and_redriven_events_survive_a_restart(tmp_path: Path, triggers: FixedTriggers) -> None:
    first = Broker(tmp_path, triggers)
    triggers.add("all", controls=DeliveryControls(paused=True))
    await opened(first, "all")
    await first.send(1, deliverafter=at(0.5))
    await asyncio.wait_for(settled(first, ("demo/all", "deferred"), 1), WAIT_S)
    await first.send(2)
    await first.store.settle([Settlement("uid-all", 2, Outcome.KEPT, "by hand", "demo/all")])
    await first.stop()

    second = Broker(tmp_path, triggers)
    triggers.control("all", DeliveryControls())
    await second.subscribers.until(1)
    assert ids(second)[0] == "1"
    await second.stop()


async def test_what_is_asked_for_is_delivered_though_it_has_expired(broker: Broker, triggers: FixedTriggers) -> None:
    broker.subscribers.script = lambda uri, event: Answered(400)
    triggers.add("all")
    await opened(broker, "all")
    await broker.send(1, expirytime=at(0.4))
    await asyncio.wait_for(settled(broker, ("demo/all", "kept"), 1), WAIT_S)
    while not await broker.store.queue.redrive(Selection(BROKER), 0.0):
        await asyncio.sleep(0.01)
    while datetime.now(UTC) < datetime.fromisoformat(broker.subscribers.got[0][1].text("expirytime")):
        await asyncio.sleep(0.01)
    broker.subscribers.script = lambda uri, event: Answered()
    broker.dispatcher.queued("uid-all")
    await asyncio.wait_for(settled(broker, ("demo/all", "delivered"), 1), WAIT_S)


async def test_keys_are_told_apart_whatever_their_length(broker: Broker, triggers: FixedTriggers) -> None:
    triggers.add("ordered", PATIENT, BY_KEY)
    await opened(broker, "ordered")
    for number in range(4):
        await broker.send(number, partitionkey="k" * (60 + number % 2 * 1000))
    await asyncio.wait_for(settled(broker, ("demo/ordered", "delivered"), 4), WAIT_S)
    long = [event.id for _, event, _ in broker.subscribers.got if len(event.text("partitionkey")) > 64]
    assert long == ["1", "3"]


async def test_a_new_trigger_may_begin_in_the_past(broker: Broker, triggers: FixedTriggers) -> None:
    triggers.add("there")
    await opened(broker, "there")
    for number in range(3):
        await broker.send(number)
    await asyncio.wait_for(settled(broker, ("demo/there", "delivered"), 3), WAIT_S)
    triggers.add("historian", controls=DeliveryControls(start_at=0.0))
    await asyncio.wait_for(settled(broker, ("demo/historian", "delivered"), 3), WAIT_S)
