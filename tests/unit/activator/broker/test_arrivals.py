"""Events that wait for the disk together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
import pytest_asyncio

from eventmesh.activator.broker.store import arrivals
from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.base.clock import SystemClock
from tests.contracts.event_store import SHOP, new_event


class StalledStore(SqliteStore):
    """A store whose disk stands still until `go` is set."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "events.db", SystemClock())
        self.go = threading.Event()
        self._begun = threading.Event()

    def stall(self) -> asyncio.Future[bool]:
        stalled = self.committer.submit(self._stand_still)
        self._begun.wait()
        return stalled

    def _stand_still(self, connection: apsw.Connection) -> bool:
        self._begun.set()
        return self.go.wait()


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[StalledStore]:
    made = StalledStore(tmp_path)
    yield made
    made.go.set()
    await made.close()


async def _begin(store: SqliteStore, numbers: range) -> list[asyncio.Task[StoredEvent]]:
    """Return appends that wait for the disk."""
    begun = [asyncio.ensure_future(store.append(new_event(n))) for n in numbers]  # noqa: TID251  # awaited by the test
    await asyncio.sleep(0)
    return begun


async def test_what_comes_during_a_sync_shares_the_next_one(store: StalledStore) -> None:
    stalled = store.stall()
    waiting = await _begin(store, range(200))
    before = store.committer.commits
    store.go.set()
    await asyncio.gather(stalled, *waiting)
    assert store.committer.commits - before == 2, "what stood still, and all that waited"
    read = await store.read(SHOP, 0, 500)
    assert [(event.sequence, event.event.id) for event in read] == [(n + 1, str(n)) for n in range(200)]


async def test_more_than_may_wait_are_refused_at_once(store: StalledStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MAX_WAITING", 3)
    stalled = store.stall()
    waiting = await _begin(store, range(3))
    with pytest.raises(StoreError, match="more than 3 events wait for the disk"):
        await store.append(new_event(3))
    store.go.set()
    await asyncio.gather(stalled, *waiting)
    assert (await store.append(new_event(4))).sequence == 4


async def test_more_than_go_together_are_written_all_the_same(
    store: StalledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "MAX_TOGETHER", 7)
    stalled = store.stall()
    waiting = await _begin(store, range(30))
    store.go.set()
    await asyncio.gather(stalled, *waiting)
    assert [event.sequence for event in await store.read(SHOP, 0, 100)] == list(range(1, 31))


async def test_a_sender_that_goes_away_takes_no_other_with_it(store: StalledStore) -> None:
    stalled = store.stall()
    waiting = await _begin(store, range(3))
    waiting[1].cancel()
    store.go.set()
    await stalled
    first, cancelled, third = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert [event.sequence for event in await store.read(SHOP, 0, 10)] == [1, 2, 3]
    assert first != third
