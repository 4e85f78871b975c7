"""What every store promises that activators share over a server, whatever the engine: what an activator's own store
does, and that the server may die.

An engine's test module inherits the suite and provides the fixture `lasting`, a server for all of its tests.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Protocol

import pytest

from eventmesh.activator.broker.store.errors import CorruptStore, StoreError
from eventmesh.activator.broker.store.shared.address import journal_at
from eventmesh.activator.broker.store.shared.journal import EntriesGone
from eventmesh.activator.broker.store.shared.store import SharedStore
from eventmesh.base.clock import SystemClock
from tests.contracts.event_history import EventHistoryContract
from tests.contracts.event_queue import EventQueueContract
from tests.contracts.event_replays import EventReplaysContract
from tests.contracts.event_store import SHOP, EventStoreContract, new_event
from tests.waiting import WAIT_S


class JournalServer(Protocol):
    """A server of an engine, as a process of this machine."""

    engine: str

    def address(self, name: str = "eventmesh") -> str:
        """Return the address of a store, with a name of its own."""
        ...

    async def start(self) -> None:
        """Start it, on the files that it had; return when it listens."""
        ...

    async def kill(self) -> None:
        """End it as a crash does."""
        ...


def opened(address: str, directory: Path) -> SharedStore:
    """Return an activator's store."""
    return SharedStore(journal_at(address), directory, SystemClock(), open_wait_s=WAIT_S)


async def accepted(store: SharedStore, number: int) -> int:
    """Return the sequence of an event, sent again until it is accepted."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return (await store.append(new_event(number))).sequence
            except CorruptStore:
                raise
            except StoreError:
                await asyncio.sleep(0.05)


class SharedStoreContract(EventStoreContract, EventHistoryContract, EventQueueContract, EventReplaysContract):
    """The suite."""

    @pytest.fixture(autouse=True)
    def keep(self, lasting: JournalServer, tmp_path: Path) -> None:
        """Give each test a journal of its own on the server that lasts."""
        self._address = lasting.address(re.sub(r"\W", "-", str(tmp_path))[-60:])

    def open_store(self, directory: Path) -> SharedStore:
        return opened(self._address, directory)

    # In the loop that has started the server.
    @pytest.mark.asyncio(loop_scope="module")
    async def test_a_killed_server_is_waited_for_and_has_all_that_was_accepted(
        self, lasting: JournalServer, tmp_path: Path
    ) -> None:
        store, other = opened(self._address, tmp_path / "activator"), opened(self._address, tmp_path / "other")
        sequences = [await accepted(store, n) for n in range(5)]
        await accepted(other, 5)
        await lasting.kill()
        try:
            with pytest.raises(StoreError):
                await store.append(new_event(99))
            # One that ends meanwhile is not kept by what it cannot reach.
            await other.close()
        finally:
            await lasting.start()
        sequences += [await accepted(store, n) for n in range(6, 10)]
        assert sequences == sorted(set(sequences))
        read = {stored.sequence: stored.event.id for stored in await store.read(SHOP, 0, 50)}
        assert [read[sequence] for sequence in sequences] == [str(n) for n in range(10) if n != 5]
        await store.close()

    async def test_a_cut_journal_is_entered_by_the_snapshot(self, tmp_path: Path) -> None:
        first = opened(self._address, tmp_path / "1")
        written = [await first.append(new_event(n, data=b"x" * 100_000)) for n in range(5)]
        await first.snapshot()
        await first.snapshot()
        last = await first.append(new_event(5))
        second = opened(self._address, tmp_path / "2")
        assert list(await second.read(SHOP, 0, 50)) == [*written, last]
        await first.close()
        await second.close()

    async def test_who_asks_for_what_was_cut_is_told(self, tmp_path: Path) -> None:
        journal = journal_at(self._address)
        await journal.open()
        for n in range(6):
            await journal.append(b"entry %d" % n)
        await journal.cut(4)
        bounds = await journal.open()
        assert (bounds.first, bounds.last) == (5, 6)
        with pytest.raises(EntriesGone, match="begins at 5; the reader is at 3"):
            await anext(journal.follow(2))
        following = journal.follow(4)
        assert [entry.content for entry in await anext(following)][0] == b"entry 4"
        await journal.close()
