"""The store gets smaller again, however Triggers went away."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

import pytest

from eventmesh.activator.broker.store import trimming
from eventmesh.activator.broker.store.repair import repair
from eventmesh.activator.broker.store.shares import Alone
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.store.values import Outcome, Retention, Settlement
from eventmesh.activator.broker.trimming import Trimmer
from eventmesh.base.clock import SystemClock
from tests.contracts.event_store import BANK, SHOP, new_event
from tests.unit.activator.broker.fixed_triggers import FixedTriggers


async def test_a_trigger_deleted_while_nobody_looked_keeps_nothing(tmp_path: Path) -> None:
    store, triggers = SqliteStore(tmp_path / "events.db", SystemClock()), FixedTriggers()
    triggers.present = {"there"}
    for uid in ("there", "deleted"):
        await store.open_trigger(uid, SHOP)
    events = [await store.append(new_event(n)) for n in range(4)]
    await store.settle([Settlement("there", events[0].sequence, Outcome.DELIVERED)])
    assert await Trimmer(store, triggers, SystemClock()).trim() == 1
    assert list(await store.triggers()) == ["there"]
    assert [event.event.id for event in await store.read(SHOP, 0, 10)] == ["1", "2", "3"]
    await store.close()


class OneElsewhere(Alone):
    """The shares of a process beside one that works on the trigger `new`."""

    async def held_by_others(self) -> Collection[str]:
        return {"new"}


async def test_a_trigger_that_only_another_process_has_heard_of_keeps_its_place(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "events.db", SystemClock())
    store.shares = OneElsewhere()
    for uid in ("new", "deleted"):
        await store.open_trigger(uid, SHOP)
    for n in range(4):
        await store.append(new_event(n))
    assert await Trimmer(store, FixedTriggers(), SystemClock()).trim() == 0
    assert list(await store.triggers()) == ["new"]
    await store.close()


async def test_all_that_can_go_goes_however_many_batches_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "TRIM_BATCH", 3)
    store = SqliteStore(tmp_path / "events.db", SystemClock())
    for n in range(11):
        await store.append(new_event(n))
    assert await Trimmer(store, FixedTriggers(), SystemClock()).trim() == 10, "the last one carries the number"
    await store.close()


async def test_who_keeps_old_events_is_told_once_and_again_when_it_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, triggers = SqliteStore(tmp_path / "events.db", SystemClock()), FixedTriggers()
    triggers.add("stopped")
    await store.open_trigger("uid-stopped", SHOP)
    events = [await store.append(new_event(n)) for n in range(3)]
    trimmer = Trimmer(store, triggers, SystemClock())
    for _ in range(2):
        assert await trimmer.trim() == 0
        await trimmer.tell()
    (told,) = (record for record in caplog.records if record.getMessage() == "trigger keeps old events")
    assert told.__dict__["fields"]["trigger"] == "demo/stopped"
    assert len(await store.read(SHOP, 0, 10)) == 3, "its backlog stays, however old it is"
    await store.settle([Settlement("uid-stopped", event.sequence, Outcome.DELIVERED) for event in events])
    with caplog.at_level("INFO"):
        await trimmer.tell()
    assert "trigger keeps old events no longer" in caplog.messages
    await store.close()


async def test_tombstones_are_found_in_any_number_of_windows_and_hold_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "TRIM_BATCH", 3)
    path = tmp_path / "events.db"
    store = SqliteStore(path, SystemClock())
    await store.open_trigger("stopped", BANK)
    await store.append(new_event(0, BANK))
    for n in range(1, 5):
        await store.append(new_event(n, BANK))
    for n in range(5, 25):
        await store.append(new_event(n, data=b"x" * 2_000))
    before = await store.history.size_bytes()
    gone = 0
    while went := await store.trim():
        gone += went
    assert gone == 19, "all of the other broker's but the last"
    assert await store.history.size_bytes() < before - 19 * 1_500, "their room is free again"
    await store.close()
    assert repair(path, dry_run=True).found.lost == []


async def test_behind_a_stopped_trigger_no_more_goes_than_the_size_asks_for(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "events.db", SystemClock())
    await store.open_trigger("stopped", BANK)
    await store.append(new_event(0, BANK))
    for n in range(1, 60):
        await store.append(new_event(n, data=b"x" * 10_000))
    limit = await store.history.size_bytes() - 200_000
    gone = 0
    while went := await store.trim(Retention(max_age_s=1e9, max_bytes=limit)):
        gone += went
    assert 18 <= gone <= 30, gone
    assert await store.history.size_bytes() <= limit
    left = await store.read(SHOP, 0, 100)
    assert [e.event.id for e in left] == [str(n) for n in range(gone + 1, 60)], "the oldest have gone"
    await store.close()


async def test_a_store_that_is_a_little_too_large_is_not_searched_in_little_steps(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "events.db", SystemClock())
    await store.open_trigger("stopped", BANK)
    for n in range(60):
        await store.append(new_event(n, BANK))
    a_little_less = Retention(max_age_s=1e9, max_bytes=await store.history.size_bytes() - 1)
    where = await store.committer.write(partial(trimming.next_tombstones, retention=a_little_less, now=0.0, place=0))
    assert where == trimming.LeaveTombstones(after=1, before=60, most=1), "all that there is, for one that may go"
    await store.close()


class HouseKeptElsewhere(Alone):
    """The shares of a process beside one that works on everything."""

    def mine(self, share: str) -> bool:
        return False


async def test_of_activators_that_share_a_store_one_tells_who_keeps_old_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(tmp_path / "events.db", SystemClock())
    store.shares = HouseKeptElsewhere()
    await store.open_trigger("stopped", SHOP)
    await store.append(new_event(1))
    await store.append(new_event(2))
    await Trimmer(store, FixedTriggers(), SystemClock()).tell()
    assert "trigger keeps old events" not in caplog.messages
    await store.close()
