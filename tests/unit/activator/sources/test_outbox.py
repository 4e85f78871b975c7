"""A source's way into the store: what it has made is not lost while the disk is full."""

from __future__ import annotations

import pytest

from eventmesh.activator.broker.store.errors import EventTooLong, StoreError
from eventmesh.activator.broker.store.shares import Alone
from eventmesh.activator.sources.outbox import STORE_RETRY_S, Outbox
from eventmesh.base.tasks import TaskGroup
from eventmesh.cloudevents.event import Event
from tests.manual_clock import ManualClock

EVENT = Event({"id": "1", "source": "/s", "type": "t", "specversion": "1.0"})


class FullDisk:
    """A store and an ingress that refuse for a while."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.done: list[str] = []
        self.shares = Alone()

    async def open_trigger(self, uid: str, key: str) -> None:
        self._refuse(f"open {uid}")

    async def accept(self, key: str, event: Event, headers: object) -> None:
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

    async def accept(self, key: str, event: Event, headers: object) -> None:
        raise EventTooLong(2_000, 1_000)


async def test_an_event_that_the_store_can_never_take_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    store, clock, tasks = ShortEntries(0), ManualClock(), TaskGroup("test")
    outbox = Outbox(store, store, clock)  # type: ignore[arg-type]  # as much of both as the outbox uses
    sent = tasks.spawn("send", outbox.put("uid", "ns/pingsource:p", EVENT))
    await clock.advance(STORE_RETRY_S / 2)
    assert sent.done()
    assert "event not stored" in caplog.text
    await tasks.stop()
