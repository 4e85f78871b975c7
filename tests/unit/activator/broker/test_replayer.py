"""Replays carried out step by step, on the embedded store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eventmesh.activator.broker import replayer
from eventmesh.activator.broker.replayer import IDLE_S, LOOK_AGAIN_S, LOOKED_AT, WINDOW, Replayer
from eventmesh.activator.broker.store.queue import QueuedEvent
from eventmesh.activator.broker.store.replays import NewReplay
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.store.values import NewEvent, Outcome, Settlement
from eventmesh.base.clock import SystemClock
from eventmesh.cloudevents.event import Event
from tests.unit.activator.broker.fixed_triggers import BROKER, FixedTriggers

STORED = WINDOW + 2 * LOOKED_AT
FAR = 1e12
"""A time by which everything is due."""


class Bench:
    """A store full of delivered events, and who replays them."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.triggers = FixedTriggers()
        self.triggers.add("t", type="order")
        self.told: list[str] = []
        self.replayer = Replayer(store, self.triggers, SystemClock(), self.told.append)

    async def waiting(self) -> list[QueuedEvent]:
        """Return what the trigger finds in its queue."""
        return list((await self.store.queue.due("uid-t", FAR, 2 * STORED)).entries)

    async def deliver(self, entries: list[QueuedEvent]) -> None:
        await self.store.settle([Settlement("uid-t", e.sequence, Outcome.DELIVERED, entry=e.entry) for e in entries])

    async def until_it_rests(self) -> float:
        """Take steps until nothing can be done; return the wait that the last one asks for."""
        while not (wait_s := await self.replayer.step()):
            pass
        return wait_s


def _event(number: int, type_: str, data: bytes | None) -> Event:
    return Event({"id": f"e{number}", "source": "/s", "type": type_, "specversion": "1.0"}, data)


@asynccontextmanager
async def bench(tmp_path: Path, types: list[str], data: bytes | None = None) -> AsyncIterator[Bench]:
    """Have one event of each of `types` stored and delivered."""
    store = SqliteStore(tmp_path / "events.db", SystemClock())
    try:
        await store.open_trigger("uid-t", BROKER)
        await asyncio.gather(*(store.append(NewEvent(BROKER, _event(n, type_, data))) for n, type_ in enumerate(types)))
        await store.settle([Settlement("uid-t", n + 1, Outcome.DELIVERED) for n in range(len(types))])
        yield Bench(store)
    finally:
        await store.close()


async def test_no_more_than_a_window_waits_and_each_event_is_queued_once_in_order(tmp_path: Path) -> None:
    async with bench(tmp_path, ["order"] * STORED) as at:
        await at.store.replays.start(NewReplay("uid-t", "demo/t", BROKER), 0.0)
        assert await at.until_it_rests() == LOOK_AGAIN_S
        first = await at.waiting()
        assert [entry.sequence for entry in first] == list(range(1, WINDOW + 1))
        await at.deliver(first[:LOOKED_AT])
        assert await at.until_it_rests() == LOOK_AGAIN_S
        assert len(await at.waiting()) == WINDOW, "as many as have ended"
        await at.deliver(await at.waiting())
        assert await at.until_it_rests() == IDLE_S
        rest = await at.waiting()
        assert [entry.sequence for entry in rest] == list(range(WINDOW + LOOKED_AT + 1, STORED + 1))
        assert set(at.told) == {"uid-t"}


async def test_a_step_takes_no_more_data_than_memory_and_a_transaction_are_to_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replayer, "MAX_STEP_BYTES", 2_500)
    async with bench(tmp_path, ["order"] * 5, data=b"x" * 1_000) as at:
        await at.store.replays.start(NewReplay("uid-t", "demo/t", BROKER), 0.0)
        for waiting in (3, 5):
            assert await at.replayer.step() == 0.0
            assert len(await at.waiting()) == waiting
        assert await at.until_it_rests() == IDLE_S


async def test_what_the_filters_do_not_let_pass_takes_no_room(tmp_path: Path) -> None:
    types = ["order" if number % 2 else "other" for number in range(2 * LOOKED_AT)]
    async with bench(tmp_path, types) as at:
        await at.store.replays.start(NewReplay("uid-t", "demo/t", BROKER, expression="id != 'e1'"), 0.0)
        assert await at.until_it_rests() == IDLE_S
        assert [entry.sequence for entry in await at.waiting()] == list(range(4, len(types) + 1, 2))


async def test_a_replay_of_a_trigger_without_a_subscriber_waits_for_one(tmp_path: Path) -> None:
    async with bench(tmp_path, ["order"]) as at:
        at.triggers.unresolve("t")
        await at.store.replays.start(NewReplay("uid-t", "demo/t", BROKER), 0.0)
        assert await at.until_it_rests() == LOOK_AGAIN_S
        assert await at.waiting() == []
        at.triggers.add("t", type="order")
        assert await at.until_it_rests() == IDLE_S
        assert len(await at.waiting()) == 1
