"""A source's way into the store: what it has made is not lost while the disk is full."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from eventmesh.activator.broker.store.errors import EventTooLong, StoreError
from eventmesh.activator.broker.store.shares import Alone
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.activator.sources import outbox as sources
from eventmesh.activator.sources.outbox import REMEMBERED_S, STORE_RETRY_S, Outbox
from eventmesh.base.tasks import TaskGroup
from eventmesh.cloudevents.event import Event, InvalidEvent
from tests.manual_clock import ManualClock

KEY = "ns/pingsource:p"


def event(number: int, data: bytes = b"") -> Event:
    return Event({"id": str(number), "source": "/s", "type": "t", "specversion": "1.0"}, data)


EVENT = event(1)


class FullDisk:
    """A store and an ingress that refuse for a while."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.done: list[str] = []
        self.shares: Alone = Alone()

    async def open_trigger(self, uid: str, key: str) -> None:
        self._refuse(f"open {uid}")

    async def accept(self, key: str, event: Event, headers: object, *, unique_for_s: float) -> None:
        self._refuse(f"put {event.id}")

    def _refuse(self, what: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreError("disk full")
        self.done.append(what)


async def test_what_the_store_refuses_is_offered_again_until_it_is_taken() -> None:
    disk, clock, tasks = FullDisk(3), ManualClock(), TaskGroup("test")
    outbox = Outbox(disk, disk, clock)  # type: ignore[arg-type]  # as much of both as the outbox uses

    async def send() -> None:
        await outbox.open("u", "ns/pingsource:p")
        await outbox.put("uid", "ns/pingsource:p", EVENT)

    tasks.spawn("send", send())
    await clock.advance(2 * STORE_RETRY_S)
    assert disk.done == []
    await clock.advance(STORE_RETRY_S)
    assert disk.done == ["open u", "put 1"]
    await tasks.stop()


class ShortEntries(FullDisk):
    """A store that takes no event, ever."""

    async def accept(self, key: str, event: Event, headers: object, *, unique_for_s: float) -> None:
        raise EventTooLong(2_000, 1_000)


async def test_an_event_that_the_store_can_never_take_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    store, clock, tasks = ShortEntries(0), ManualClock(), TaskGroup("test")
    outbox = Outbox(store, store, clock)  # type: ignore[arg-type]  # as much of both as the outbox uses
    sent = tasks.spawn("send", outbox.put("uid", "ns/pingsource:p", EVENT))
    await clock.advance(STORE_RETRY_S / 2)
    assert sent.done()
    assert "event not stored" in caplog.text
    await tasks.stop()


class Elsewhere(Alone):
    """The shares of a process beside one that works on everything, until that one is gone."""

    def __init__(self) -> None:
        self.is_mine = False
        self._changed: list[Callable[[], None]] = []

    def mine(self, share: str) -> bool:
        return self.is_mine

    def subscribe(self, changed: Callable[[], None]) -> None:
        self._changed.append(changed)

    def become(self, *, mine: bool) -> None:
        self.is_mine = mine
        for changed in self._changed:
            changed()


@pytest_asyncio.fixture
async def beside() -> AsyncIterator[tuple[FullDisk, Elsewhere, ManualClock, Outbox]]:
    disk, clock, shares = FullDisk(0), ManualClock(), Elsewhere()
    disk.shares = shares
    outbox = Outbox(disk, disk, clock)  # type: ignore[arg-type]  # as much of both as the outbox uses
    yield disk, shares, clock, outbox
    await outbox.stop()


Beside = tuple[FullDisk, Elsewhere, ManualClock, Outbox]


async def test_what_was_made_while_nobody_kept_it_is_kept_by_who_takes_over(beside: Beside) -> None:
    disk, shares, clock, outbox = beside
    for number in range(3):
        await outbox.put("uid", KEY, event(number))
        await clock.advance(1.0)
    assert disk.done == [], "another keeps them, if it is alive"
    disk.refusals = 1
    shares.become(mine=True)
    await clock.advance(STORE_RETRY_S)
    await outbox.put("uid", KEY, event(3))
    assert disk.done == ["put 0", "put 1", "put 2", "put 3"], "each once, in order"


async def test_what_is_given_up_half_way_goes_on_when_it_comes_back(beside: Beside) -> None:
    disk, shares, clock, outbox = beside
    shares.is_mine, disk.refusals = True, 10
    tasks = TaskGroup("test")
    tasks.spawn("send", outbox.put("uid", KEY, EVENT))
    await clock.advance(2 * STORE_RETRY_S)
    shares.become(mine=False)
    await clock.advance(STORE_RETRY_S)
    disk.refusals = 0
    assert disk.done == []
    shares.become(mine=True)
    await clock.advance(0.0)
    assert disk.done == ["put 1"]
    await tasks.stop()


async def test_what_another_has_kept_long_ago_is_forgotten(beside: Beside) -> None:
    disk, shares, clock, outbox = beside
    await outbox.put("uid", KEY, event(1))
    await clock.advance(REMEMBERED_S + 1.0)
    await outbox.put("uid", KEY, event(2))
    await outbox.put("gone", KEY, event(3))
    outbox.closed("gone")
    shares.become(mine=True)
    await clock.advance(0.0)
    assert disk.done == ["put 2"]


async def test_what_a_source_made_last_is_not_sent_again_by_who_takes_over_long_after(beside: Beside) -> None:
    disk, shares, clock, outbox = beside
    await outbox.put("hourly", KEY, event(1))
    await clock.advance(3_000.0)
    shares.become(mine=True)
    await clock.advance(0.0)
    assert disk.done == [], "another has kept it, and nobody would know it again after so long"


async def test_what_was_this_process_to_keep_is_kept_however_long_the_store_is_away(beside: Beside) -> None:
    disk, shares, clock, outbox = beside
    shares.is_mine, disk.refusals = True, 2
    tasks = TaskGroup("test")
    tasks.spawn("send", outbox.put("uid", KEY, EVENT))
    await clock.advance(STORE_RETRY_S / 2)
    shares.become(mine=False)
    await clock.advance(2 * REMEMBERED_S)
    shares.become(mine=True)
    await clock.advance(STORE_RETRY_S)
    assert disk.done == ["put 1"]
    await tasks.stop()


async def test_what_is_remembered_is_bounded_in_number_and_bytes(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, shares, clock, outbox = beside
    monkeypatch.setattr(sources, "MAX_REMEMBERED", 3)
    monkeypatch.setattr(sources, "MAX_REMEMBERED_BYTES", 100)
    for number in range(5):
        await outbox.put("many", KEY, event(number))
    for number in range(5, 8):
        await outbox.put("large", KEY, event(number, b"x" * 40))
    shares.become(mine=True)
    await clock.advance(0.0)
    assert sorted(disk.done) == ["put 2", "put 3", "put 4", "put 6", "put 7"]


async def test_what_all_sources_remember_is_bounded_and_each_has_an_even_share(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, shares, clock, outbox = beside
    monkeypatch.setattr(sources, "MAX_ALL_BYTES", 160)
    for number in range(4):
        await outbox.put("first", KEY, event(number, b"x" * 40))
    for number in range(4, 6):
        await outbox.put("second", KEY, event(number, b"x" * 40))
    shares.become(mine=True)
    await clock.advance(0.0)
    assert sorted(disk.done) == ["put 2", "put 3", "put 4", "put 5"]


class Storing:
    """A store that answers as one does, and takes no event of the id `long`."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.done: list[str] = []
        self.shares: Alone = Alone()

    async def accept(self, key: str, event: Event, headers: object, *, unique_for_s: float) -> StoredEvent:
        if event.id == "long":
            raise EventTooLong(2_000, 1_000)
        if event.id == "looping":
            raise InvalidEvent("knativebrokerttl", "is used up")
        if self.refusals:
            self.refusals -= 1
            raise StoreError("disk full")
        self.done.append(event.id)
        return StoredEvent(len(self.done), 0.0, key, event)


async def test_what_stays_where_it_came_from_is_kept_in_its_order_whatever_the_store_refuses_for_a_while() -> None:
    disk, clock, tasks = Storing(2), ManualClock(), TaskGroup("test")
    outbox = Outbox(disk, disk, clock)  # type: ignore[arg-type]  # as much of both as the outbox uses
    kept: list[StoredEvent] = []

    async def keep() -> None:
        kept.extend(await outbox.keep(KEY, [("", event(number)) for number in (1, 2, 3)]))

    tasks.spawn("keep", keep())
    await clock.advance(2 * STORE_RETRY_S)
    # The third was taken at first, and again behind the two that were not.
    assert (disk.done, [stored.event.id for stored in kept]) == (["3", "1", "2", "3"], ["1", "2", "3"])
    await tasks.stop()


async def test_what_the_store_can_never_take_is_told_and_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    disk = Storing(0)
    outbox = Outbox(disk, disk, ManualClock())  # type: ignore[arg-type]  # as much of both as the outbox uses
    refused = [(f"offset of {name}", event(1).with_attributes(id=name)) for name in ("long", "looping")]
    kept = await outbox.keep(KEY, [*refused, ("", event(2))])
    assert [stored.event.id for stored in kept] == ["2"]
    told = [record.__dict__["fields"]["place"] for record in caplog.records if "not stored" in record.message]
    assert told == ["offset of long", "offset of looping"]
