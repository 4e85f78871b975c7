"""A store over a journal: the contract of every store, and what happens when journal or view is not what it was."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio

from eventmesh.activator.broker.ingress import Ingress
from eventmesh.activator.broker.store import opening
from eventmesh.activator.broker.store.api import Elsewhere
from eventmesh.activator.broker.store.errors import CorruptStore, EventTooLong, StoreError
from eventmesh.activator.broker.store.history import Query
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.replays import NewReplay
from eventmesh.activator.broker.store.shared import store as shared_store
from eventmesh.activator.broker.store.shared import writer
from eventmesh.activator.broker.store.shared.journal import Entry
from eventmesh.activator.broker.store.shared.store import SharedStore
from eventmesh.activator.broker.store.values import Failure, Outcome, Settlement, StoredEvent
from eventmesh.base.clock import SystemClock
from tests.contracts.event_history import EventHistoryContract, attempt
from tests.contracts.event_queue import EventQueueContract
from tests.contracts.event_replays import EventReplaysContract
from tests.contracts.event_store import SHOP, EventStoreContract, new_event
from tests.memory_journal import MemoryJournal, MemoryServer
from tests.unit.activator.broker.fixed_triggers import FixedTriggers
from tests.waiting import WAIT_S

if TYPE_CHECKING:
    from eventmesh.core._core import Request


@pytest_asyncio.fixture
async def server() -> MemoryServer:
    return MemoryServer()


def opened(server: MemoryServer, directory: Path) -> SharedStore:
    return SharedStore(MemoryJournal(server), directory, SystemClock())


class TestSharedStore(EventStoreContract, EventHistoryContract, EventQueueContract, EventReplaysContract):
    @pytest_asyncio.fixture(autouse=True)
    async def keep(self, server: MemoryServer) -> None:
        self._server = server

    def open_store(self, directory: Path) -> SharedStore:
        return opened(self._server, directory)


@dataclass
class Asked:
    """A request as the engine hands it over."""

    headers: list[tuple[str, str]]
    authority: str = "broker"
    path: str = "/demo/shop"
    method: str = "POST"
    body: bytes = b""


class Heard(Elsewhere):
    """Remembers what others did."""

    def __init__(self) -> None:
        self.events: list[StoredEvent] = []
        self.queues: list[str] = []
        self.replays = 0
        self._changed = asyncio.Event()

    def accepted(self, stored: StoredEvent) -> None:
        self.events.append(stored)
        self._changed.set()

    def queued(self, uid: str) -> None:
        self.queues.append(uid)
        self._changed.set()

    def replaying(self) -> None:
        self.replays += 1
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


async def test_stores_over_one_journal_hold_the_same_and_hear_of_each_other(
    server: MemoryServer, tmp_path: Path
) -> None:
    first, second, heard = opened(server, tmp_path / "1"), opened(server, tmp_path / "2"), Heard()
    await second.triggers()
    second.follow(heard)
    await first.open_trigger("t", SHOP)
    written = [await first.append(new_event(n)) for n in range(20)]
    await heard.until(lambda: len(heard.events) == 20)
    assert heard.events == written, "in order, and each once"
    assert list(await second.read(SHOP, 0, 50)) == written
    mine = await second.append(new_event(20))
    assert mine.sequence == 21
    await first.settle([Settlement("t", written[0].sequence, Outcome.KEPT, "no", "demo/t")])
    await first.queue.redrive(Selection(SHOP), 0.0)
    await first.replays.start(NewReplay("t", "demo/t", SHOP), 0.0)
    await heard.until(lambda: heard.queues == ["t"] and heard.replays == 1)
    assert [e.stored for e in (await second.queue.due("t", 1.0, 5)).entries] == [written[0]]
    assert mine not in heard.events, "who did it knows"
    await first.close()
    await second.close()


async def test_a_server_that_is_away_is_told_at_once_and_all_goes_on_when_it_is_back(
    server: MemoryServer, tmp_path: Path
) -> None:
    store = opened(server, tmp_path)
    kept = await store.append(new_event(1))
    await server.set_up(up=False)
    with pytest.raises(StoreError, match="no connection"):
        await store.append(new_event(2))
    assert list(await store.read(SHOP, 0, 5)) == [kept], "what is known can be read"
    await server.set_up(up=True)
    assert (await store.append(new_event(2))).sequence == 2
    await store.close()


async def test_each_time_that_a_server_is_away_is_told_once(
    server: MemoryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared_store, "RETRY_S", 0.001)
    store = opened(server, tmp_path)

    def told() -> int:
        return sum(record.levelno == logging.ERROR for record in caplog.records)

    for time in (1, 2):
        await store.append(new_event(time))
        await server.set_up(up=False)
        async with asyncio.timeout(WAIT_S):
            while told() < time:
                await asyncio.sleep(0.001)
        await server.set_up(up=True)
    await store.append(new_event(3))
    assert told() == 2
    await store.close()


async def test_a_start_without_a_server_waits_for_it(
    server: MemoryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_store, "OPEN_WAIT_S", 0.01)
    await server.set_up(up=False)
    store = opened(server, tmp_path)
    with pytest.raises(StoreError):
        await store.append(new_event(1))
    monkeypatch.setattr(shared_store, "OPEN_WAIT_S", WAIT_S)
    await server.set_up(up=True)
    assert (await store.append(new_event(1))).sequence == 1
    await store.close()


async def test_a_cut_journal_is_entered_by_the_snapshot(server: MemoryServer, tmp_path: Path) -> None:
    first = opened(server, tmp_path / "1")
    await first.open_trigger("t", SHOP)
    written = [await first.append(new_event(n)) for n in range(10)]
    await first.settle([Settlement("t", written[0].sequence, Outcome.KEPT, "no", "demo/t")])
    position = await first.snapshot()
    assert server.bounds().first == position + 1
    later = await first.append(new_event(10))
    second = opened(server, tmp_path / "2")
    assert list(await second.read(SHOP, 0, 50)) == [*written, later]
    (letter,) = await second.history.dead_letters(Selection(SHOP))
    assert letter.sequence == written[0].sequence
    assert (await second.append(new_event(11))).sequence == later.sequence + 1
    await first.close()
    await second.close()


async def test_a_view_that_was_away_for_too_long_begins_with_the_snapshot(server: MemoryServer, tmp_path: Path) -> None:
    first, second = opened(server, tmp_path / "1"), opened(server, tmp_path / "2")
    await second.append(new_event(0))
    await second.close()
    for n in range(1, 5):
        await first.append(new_event(n))
    await first.snapshot()
    again = opened(server, tmp_path / "2")
    assert [e.event.id for e in await again.read(SHOP, 0, 50)] == ["0", "1", "2", "3", "4"]
    await first.close()
    await again.close()


async def test_a_damaged_view_is_made_anew(server: MemoryServer, tmp_path: Path) -> None:
    store = opened(server, tmp_path)
    written = [await store.append(new_event(n, data=b"x" * 3_000)) for n in range(10)]
    await store.close()
    view = tmp_path / shared_store.VIEW_FILE
    view.write_bytes(view.read_bytes()[:-100] + b"damage" * 10)
    again = opened(server, tmp_path)
    assert list(await again.read(SHOP, 0, 50)) == written
    await again.close()


async def test_damage_that_is_found_later_has_the_view_made_anew_and_stops_nothing(
    server: MemoryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(server, tmp_path)
    written = [await store.append(new_event(n, data=b"x" * 3_000)) for n in range(10)]
    await store.close()
    view = tmp_path / shared_store.VIEW_FILE
    view.write_bytes(view.read_bytes()[:-100] + b"damage" * 10)
    monkeypatch.setattr(opening, "VERIFY_AT_ONCE", 0)
    again = opened(server, tmp_path)
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await again.append(new_event(99))
                if list(await again.read(SHOP, 0, 10)) == written:
                    break
            except StoreError:
                await asyncio.sleep(0.01)
    assert server.snapshot is None, "the journal was enough"
    await again.close()


async def test_a_journal_that_was_made_anew_is_not_taken_for_the_old_one(server: MemoryServer, tmp_path: Path) -> None:
    store = opened(server, tmp_path)
    await store.append(new_event(1))
    await store.close()
    server.identity = "second"
    again = opened(server, tmp_path)
    with pytest.raises(CorruptStore, match="made anew, and what it held is in that file only"):
        await again.append(new_event(2))
    await again.close()
    (tmp_path / shared_store.VIEW_FILE).unlink()
    afresh = opened(server, tmp_path)
    await afresh.append(new_event(2))
    await afresh.close()


async def test_a_journal_that_lost_its_end_is_damage_with_the_lost_entries_named(
    server: MemoryServer, tmp_path: Path
) -> None:
    store = opened(server, tmp_path)
    for n in range(3):
        await store.append(new_event(n))
    await store.close()
    server.entries, server.last = server.entries[:1], 1
    again = opened(server, tmp_path)
    with pytest.raises(CorruptStore, match="ends at entry 1; entries 2 to 3 were durable"):
        await again.read(SHOP, 0, 5)
    await again.close()


async def test_a_server_that_comes_back_with_less_than_it_had_is_damage(server: MemoryServer, tmp_path: Path) -> None:
    store = opened(server, tmp_path)
    for n in range(3):
        await store.append(new_event(n))
    await server.set_up(up=False)
    server.entries, server.last = server.entries[:1], 1
    await server.set_up(up=True)
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(CorruptStore, match="entries 2 to 3 were durable"):
            while True:
                # What is known can be read until it is noticed.
                await store.read(SHOP, 0, 5)
                await asyncio.sleep(0.01)
    await store.close()


async def test_an_entry_that_is_not_what_was_written_stops_everything(server: MemoryServer, tmp_path: Path) -> None:
    store = opened(server, tmp_path / "1")
    await store.append(new_event(1))
    await store.append(new_event(2))
    await store.close()
    content = bytearray(server.entries[1].content)
    content[-1] ^= 1
    server.entries[1] = Entry(2, bytes(content))
    other = opened(server, tmp_path / "2")
    with pytest.raises(CorruptStore, match="entry 2 of the journal is not what was written"):
        await other.append(new_event(3))
    await other.close()


async def test_a_sender_is_told_what_puts_a_journal_right(server: MemoryServer, tmp_path: Path) -> None:
    store = opened(server, tmp_path)
    await store.append(new_event(1))
    await store.close()
    server.identity = "second"
    again = opened(server, tmp_path)
    headers = [("ce-id", "2"), ("ce-source", "/s"), ("ce-type", "t"), ("ce-specversion", "1.0")]
    reply = await Ingress(again, FixedTriggers(), SystemClock()).handle(cast("Request", Asked(headers)))
    assert (reply.status, reply.headers) == (503, (("retry-after", "60"),))
    assert b"until its journal is restored" in reply.body
    await again.close()


async def test_an_event_that_no_entry_can_hold_is_refused_with_the_length_that_is_left(
    server: MemoryServer, tmp_path: Path
) -> None:
    server.max_entry_bytes = 2_000
    store = opened(server, tmp_path)
    with pytest.raises(EventTooLong, match="the store takes up to 19"):
        await store.append(new_event(1, data=b"x" * 2_000))
    assert (await store.append(new_event(1, data=b"x" * 1_000))).sequence == 1
    await store.close()


async def test_ends_that_no_entry_can_hold_together_are_written_one_after_another(
    server: MemoryServer, tmp_path: Path
) -> None:
    store = opened(server, tmp_path)
    await store.open_trigger("t", SHOP)
    events = await asyncio.gather(*(store.append(new_event(n)) for n in range(250)))
    server.max_entry_bytes = 256 << 10
    failure = Failure("http://subscriber/", 400, b"\x00" * 1024, 3)
    ends = [Settlement("t", e.sequence, Outcome.KEPT, "answered 400", "demo/t", failure) for e in events]
    await store.settle(ends, [attempt(e, error="x" * 500) for e in events])
    assert (await store.open_trigger("t", SHOP)).cursor == 250
    assert len(await store.history.dead_letters(Selection(SHOP))) == 250
    assert len(await store.history.attempts(Query(SHOP))) == 250
    await store.close()


class StalledJournal(MemoryJournal):
    """A journal that answers nothing until `go` is set."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server)
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def append(self, content: bytes) -> None:
        self.asked.set()
        await self.go.wait()
        await super().append(content)


@pytest.mark.parametrize("limit", [("MAX_WAITING", 2), ("MAX_WAITING_BYTES", 1_000)])
async def test_more_than_may_wait_is_refused_at_once_and_what_waits_is_written(
    server: MemoryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: tuple[str, int]
) -> None:
    monkeypatch.setattr(writer, *limit)
    journal = StalledJournal(server)
    store = SharedStore(journal, tmp_path, SystemClock())
    await store.triggers()

    def begun(number: int) -> asyncio.Task[StoredEvent]:
        # Some 450 bytes each.
        return asyncio.ensure_future(store.append(new_event(number, data=b"x" * 200)))  # noqa: TID251  # awaited below

    under_way = begun(0)
    await journal.asked.wait()
    waiting = [begun(1), begun(2)]
    await asyncio.sleep(0)
    with pytest.raises(StoreError, match="2 changes wait for the journal: try again later"):
        await store.append(new_event(3, data=b"x" * 200))
    journal.go.set()
    assert [(await each).sequence for each in (under_way, *waiting)] == [1, 2, 3]
    await store.close()


async def test_many_events_share_an_entry(server: MemoryServer, tmp_path: Path) -> None:
    store = opened(server, tmp_path)
    await store.triggers()
    await asyncio.gather(*(store.append(new_event(n)) for n in range(300)))
    assert server.last < 20
    await store.close()


async def test_a_second_process_on_a_directory_is_refused(server: MemoryServer, tmp_path: Path) -> None:
    store = opened(server, tmp_path)
    with pytest.raises(StoreError, match="in use by another process"):
        opened(server, tmp_path)
    await store.close()


async def test_a_closed_store_says_so(server: MemoryServer, tmp_path: Path) -> None:
    store = opened(server, tmp_path)
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.append(new_event(1))
