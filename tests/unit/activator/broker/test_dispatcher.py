"""From the store to subscribers and back, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.activator.broker.store.errors import EventTooLong
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.store.values import NewEvent, StoredEvent
from eventmesh.activator.broker.triggers import Identity, Peer
from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event
from eventmesh.model.delivery import DeliveryPolicy
from tests.unit.activator.broker.fixed_triggers import BROKER, FixedTriggers
from tests.unit.activator.broker.offline_broker import Answered, Broker, opened, settled
from tests.waiting import WAIT_S


@pytest_asyncio.fixture
async def triggers() -> FixedTriggers:
    return FixedTriggers()


@pytest_asyncio.fixture
async def broker(tmp_path: Path, triggers: FixedTriggers) -> AsyncIterator[Broker]:
    made = Broker(tmp_path, triggers)
    yield made
    await made.stop()


async def test_an_event_goes_to_each_trigger_whose_filter_it_passes(broker: Broker, triggers: FixedTriggers) -> None:
    triggers.add("all")
    triggers.add("orders", type="order")
    triggers.add("bills", type="bill")
    for name in ("all", "orders", "bills"):
        await opened(broker, name)
    await broker.send(1)
    await broker.subscribers.until(2)
    assert sorted(uri for uri, _, _ in broker.subscribers.got) == ["http://all/", "http://orders/"]
    _, event, headers = broker.subscribers.got[0]
    assert "knativebrokerttl" not in event.attributes
    assert {("prefer", "reply"), ("kn-namespace", "demo"), ("x-request-id", "r1")} <= set(headers)


async def test_a_reply_is_routed_like_any_event(broker: Broker, triggers: FixedTriggers) -> None:
    def script(uri: str, event: Event) -> Answered:
        if uri != "http://confirm/":
            return Answered()
        reply = Event({"id": "reply", "source": "/confirm", "type": "confirmed", "specversion": "1.0"}, b"[]")
        headers, body = http.encode_binary(reply)
        return Answered(200, headers, body)

    broker.subscribers.script = script
    triggers.add("confirm", type="order")
    triggers.add("mail", type="confirmed")
    await opened(broker, "confirm")
    await opened(broker, "mail")
    await broker.send(1)
    await broker.subscribers.until(2)
    uri, event, _ = broker.subscribers.got[1]
    assert (uri, event.id, event.data) == ("http://mail/", "reply", b"[]")


async def test_a_reply_that_the_store_can_never_take_is_not_asked_for_again(
    broker: Broker, triggers: FixedTriggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = broker.store.append

    async def short(new: NewEvent) -> StoredEvent:
        if new.event.id == "reply":
            raise EventTooLong(2_000, 1_000)
        return await append(new)

    monkeypatch.setattr(broker.store, "append", short)
    reply = Event({"id": "reply", "source": "/confirm", "type": "confirmed", "specversion": "1.0"}, b"[]")
    broker.subscribers.script = lambda uri, event: Answered(200, *http.encode_binary(reply))
    triggers.add("confirm", DeliveryPolicy(retry=5))
    await opened(broker, "confirm")
    await broker.send(1)
    await asyncio.wait_for(settled(broker, ("demo/confirm", "kept"), 1), WAIT_S)
    assert len(broker.subscribers.got) == 1


async def test_a_trigger_that_matches_its_own_reply_ends(broker: Broker, triggers: FixedTriggers) -> None:
    def script(uri: str, event: Event) -> Answered:
        again = Event({"id": f"{event.id}+", "source": "/s", "type": "order", "specversion": "1.0"})
        return Answered(200, *http.encode_binary(again))

    broker.subscribers.script = script
    triggers.add("loop", type="order")
    await opened(broker, "loop")
    await broker.send(1)
    await broker.subscribers.until(255)
    await asyncio.wait_for(settled(broker, ("demo/loop", "delivered"), 255), WAIT_S)
    assert len(broker.subscribers.got) == 255


async def test_a_dead_letter_tells_its_sink_what_went_wrong(broker: Broker, triggers: FixedTriggers) -> None:
    broker.subscribers.script = lambda uri, event: Answered(400 if "fails" in uri else 202, body=b"no such order")
    triggers.add("fails", DeliveryPolicy(retry=0, dead_letter_uri="http://letters/"))
    await opened(broker, "fails")
    await broker.send(1)
    await broker.subscribers.until(2)
    uri, event, _ = broker.subscribers.got[1]
    assert (uri, event.text("knativeerrordest")) == ("http://letters/", "http://fails/")
    assert event.text("knativeerrorcode") == "400"


async def test_an_event_nobody_takes_is_kept(broker: Broker, triggers: FixedTriggers) -> None:
    broker.subscribers.script = lambda uri, event: Answered(0, error="connect_failed")
    triggers.add("down")
    await opened(broker, "down")
    await broker.send(1)
    await asyncio.wait_for(settled(broker, ("demo/down", "kept"), 1), WAIT_S)
    while not (letters := await broker.store.history.dead_letters(Selection(BROKER))):
        await asyncio.sleep(0.01)
    assert letters[0].reason == "subscriber: no answer: connect_failed"


async def test_a_damaged_event_holds_up_no_other(broker: Broker, triggers: FixedTriggers) -> None:
    triggers.add("behind")
    await opened(broker, "behind")
    triggers.unresolve("behind")
    for number in range(3):
        await broker.send(number)
    await broker.store.committer.write(
        lambda connection: connection.execute("UPDATE events SET data = x'00' WHERE sequence = 2")
    )
    triggers.add("behind")
    await asyncio.wait_for(settled(broker, ("demo/behind", "delivered"), 2), WAIT_S)
    assert sorted(event.id for _, event, _ in broker.subscribers.got) == ["0", "2"]
    assert broker.dispatcher.measures.outcomes["demo/behind", "kept"] == 1


async def test_a_reply_that_is_no_event_fails_the_delivery(broker: Broker, triggers: FixedTriggers) -> None:
    broker.subscribers.script = lambda uri, event: Answered(200, [("ce-specversion", "1.0")], b"x")
    triggers.add("odd")
    await opened(broker, "odd")
    await broker.send(1)
    await asyncio.wait_for(settled(broker, ("demo/odd", "kept"), 1), WAIT_S)


async def test_after_a_restart_what_was_not_done_is_done(tmp_path: Path, triggers: FixedTriggers) -> None:
    first = Broker(tmp_path, triggers)
    triggers.add("slow")
    await opened(first, "slow")
    never = asyncio.Event()

    async def hang(*args: object, **kwargs: object) -> Answered:
        first.subscribers.arrived.set()
        await never.wait()
        return Answered()

    first.subscribers.post = hang  # type: ignore[method-assign]
    for number in range(5):
        await first.send(number)
    await asyncio.wait_for(first.subscribers.arrived.wait(), WAIT_S)
    await first.stop()

    second = Broker(tmp_path, triggers)
    await second.subscribers.until(5)
    assert sorted(event.id for _, event, _ in second.subscribers.got) == ["0", "1", "2", "3", "4"]
    await asyncio.wait_for(settled(second, ("demo/slow", "delivered"), 5), WAIT_S)
    await second.stop()

    third = Broker(tmp_path, triggers)
    await third.send(9)
    await third.subscribers.until(1)
    assert [event.id for _, event, _ in third.subscribers.got] == ["9"]
    await third.stop()


async def test_an_event_that_does_not_match_is_neither_read_nor_left_open(
    broker: Broker, triggers: FixedTriggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    triggers.add("orders", type="order")
    triggers.add("refunds", type="refund")
    for name in ("orders", "refunds"):
        await opened(broker, name)
    await broker.send(1)
    await settled(broker, ("demo/refunds", "filtered"), 1)
    reads: list[str] = []
    read = SqliteStore.read

    async def watched(store: SqliteStore, key: str, after: int, limit: int, most: float) -> Sequence[StoredEvent]:
        reads.append(asyncio.current_task().get_name())  # type: ignore[union-attr]  # it runs in one
        return await read(store, key, after, limit, most)

    monkeypatch.setattr(SqliteStore, "read", watched)
    for number in range(2, 30):
        await broker.send(number)
    await broker.subscribers.until(29)
    await settled(broker, ("demo/refunds", "filtered"), 29)
    assert {name for name in reads if name.endswith("demo/refunds")} == set()
    assert (await broker.store.open_trigger("uid-refunds", BROKER)).cursor == 29
    await broker.send(30, "refund")
    await broker.subscribers.until(30)
    assert broker.subscribers.got[-1][1].id == "30"


async def test_an_event_whose_sender_has_gone_is_found_with_the_next_one(
    broker: Broker, triggers: FixedTriggers
) -> None:
    triggers.add("orders", type="order")
    await opened(broker, "orders")
    await broker.send(1)
    await broker.subscribers.until(1)
    # On disk, but nobody was told: its request was cut off behind the commit.
    lost = Event({"id": "2", "source": "/s", "type": "order", "specversion": "1.0"}, b"{}")
    await broker.store.append(NewEvent(BROKER, lost))
    await broker.send(3, "other")
    await broker.subscribers.until(2)
    assert [event.id for _, event, _ in broker.subscribers.got] == ["1", "2"]


class Renewed:
    """Credentials whose first token nobody believes any more."""

    def __init__(self) -> None:
        self.number = 1

    async def bearer(self, namespace: str, account: str, audience: str) -> str:
        return f"token-{self.number}"

    def forget(self, namespace: str, account: str, audience: str) -> None:
        self.number += 1


async def test_a_token_that_is_refused_is_replaced_once_within_the_attempt(
    tmp_path: Path, triggers: FixedTriggers
) -> None:
    broker = Broker(tmp_path, triggers, Renewed())
    broker.subscribers.script = lambda uri, event: Answered(401 if len(broker.subscribers.got) == 1 else 202)
    triggers.add("secured", identity=Identity(subscriber=Peer("http://secured/")))
    await opened(broker, "secured")
    await broker.send(1)
    await asyncio.wait_for(settled(broker, ("demo/secured", "delivered"), 1), WAIT_S)
    shown = [dict(headers)["authorization"] for _, _, headers in broker.subscribers.got]
    assert shown == ["Bearer token-1", "Bearer token-2"]
    broker.subscribers.script = lambda uri, event: Answered(401)
    await broker.send(2)
    await settled(broker, ("demo/secured", "kept"), 1)
    assert len(broker.subscribers.got) == 4
    await broker.stop()
