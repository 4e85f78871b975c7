"""The embedded store: the contract, group commit, and what a damaged or shared file is answered with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from eventmesh.activator.broker.store import opening, schema, upkeep
from eventmesh.activator.broker.store.errors import CorruptStore, DamagedEvent, StoreError
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.records import _before_format_7, encode
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.store.values import Outcome, Settlement
from eventmesh.base.clock import SystemClock
from tests.contracts.event_history import EventHistoryContract
from tests.contracts.event_queue import EventQueueContract
from tests.contracts.event_replays import EventReplaysContract
from tests.contracts.event_store import SHOP, EventStoreContract, new_event
from tests.waiting import WAIT_S


def open_sqlite(directory: Path) -> SqliteStore:
    return SqliteStore(directory / "events.db", SystemClock())


class TestSqliteStore(EventStoreContract, EventHistoryContract, EventQueueContract, EventReplaysContract):
    def open_store(self, directory: Path) -> SqliteStore:
        return open_sqlite(directory)


async def test_concurrent_appends_share_a_sync(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    before = store.committer.commits
    await asyncio.gather(*(store.append(new_event(n)) for n in range(500)))
    assert store.committer.commits - before < 250
    await store.close()


async def test_a_write_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)

    def fail(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO triggers VALUES ('half', 'x', 1, 1)")
        raise ValueError("asked to fail")

    failed, written = await asyncio.gather(
        store.committer.write(fail), store.append(new_event(1)), return_exceptions=True
    )
    assert isinstance(failed, ValueError)
    assert not isinstance(written, BaseException)
    assert (await store.open_trigger("half", SHOP)).cursor == written.sequence
    await store.close()


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    with pytest.raises(StoreError, match="in use by another process"):
        open_sqlite(tmp_path)
    await store.close()
    await open_sqlite(tmp_path).close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(CorruptStore, match=r"events\.db cannot be opened"):
        open_sqlite(tmp_path)


async def test_a_missing_event_is_noticed_on_opening(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    for n in range(3):
        await store.append(new_event(n))
    await store.close()
    with apsw.Connection(str(tmp_path / "events.db")) as connection:
        connection.execute("DELETE FROM events WHERE sequence = 2")
    with pytest.raises(CorruptStore, match="lacks 1 of the events 1 to 3"):
        open_sqlite(tmp_path)


async def test_a_damaged_event_is_named_and_hides_no_other(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    written = [await store.append(new_event(n)) for n in range(3)]
    await store.committer.write(
        lambda connection: connection.execute("UPDATE events SET data = x'00' WHERE sequence = 2")
    )
    with pytest.raises(DamagedEvent, match="event 2 of broker demo/shop does not match its checksum") as raised:
        await store.read(SHOP, 0, 10)
    assert raised.value.before == [written[0]]
    assert await store.read(SHOP, raised.value.sequence, 10) == [written[2]]
    await store.open_trigger("t", SHOP)
    await store.settle([Settlement("t", 2, Outcome.KEPT, "damaged")])
    (letter,) = await store.history.dead_letters(Selection(SHOP))
    assert (letter.sequence, letter.stored, letter.reason) == (2, None, "damaged")
    await store.close()


async def test_damage_behind_the_first_look_is_found_between_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_sqlite(tmp_path)
    for n in range(10):
        await store.append(new_event(n, data=b"x" * 3_000))
    await store.close()
    with (tmp_path / "events.db").open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"damage")
    monkeypatch.setattr(opening, "VERIFY_AT_ONCE", 0)
    reopened = open_sqlite(tmp_path)
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(CorruptStore, match="not what was written is page"):
            while True:
                await reopened.append(new_event(11))
    with pytest.raises(CorruptStore, match="not what was written"):
        await reopened.read(SHOP, 0, 1)
    with pytest.raises(CorruptStore, match="not what was written"):
        await reopened.history.position()
    await reopened.close()


async def test_a_reader_that_holds_a_checkpoint_up_makes_nothing_look_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CHECKPOINT_PAGES", 20)
    monkeypatch.setattr(upkeep, "CHECKPOINT_AGAIN_PAGES", 5)
    store = open_sqlite(tmp_path)
    written = [await store.append(new_event(0))]
    reader = apsw.Connection(str(tmp_path / "events.db"))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchall()
    written += [await store.append(new_event(n)) for n in range(1, 40)]
    reader.execute("COMMIT")
    reader.close()
    written += [await store.append(new_event(n)) for n in range(40, 80)]
    assert (tmp_path / "events.db-wal").stat().st_size < 250 * 4096, "and the log began anew"
    await store.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["events.db", "events.db-sums", "events.db.lock"]
    reopened = open_sqlite(tmp_path)
    assert await reopened.read(SHOP, 0, 100) == written
    await reopened.close()


async def test_a_full_disk_refuses_and_loses_nothing_and_leaves_no_gap(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    first = await store.append(new_event(1))

    def limit(pages: int) -> Callable[[apsw.Connection], object]:
        return lambda connection: connection.pragma("max_page_count", pages)

    await store.committer.write(limit(1))
    big = [store.append(new_event(n, data=b"x" * 100_000)) for n in range(2, 6)]
    refused = await asyncio.gather(*big, return_exceptions=True)
    assert [type(error) for error in refused] == [StoreError] * 4
    assert "full" in str(refused[0])
    await store.committer.write(limit(100_000))
    second = await store.append(new_event(6))
    assert second.sequence == first.sequence + 1
    await store.close()
    again = open_sqlite(tmp_path)
    assert await again.read(SHOP, 0, 10) == [first, second]
    await again.close()


async def test_dead_letters_let_later_events_go(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    await store.open_trigger("t", SHOP)
    events = [await store.append(new_event(n)) for n in range(4)]
    ends = [Settlement("t", events[0].sequence, Outcome.KEPT, "answered 400")]
    await store.settle([*ends, *(Settlement("t", e.sequence, Outcome.DELIVERED) for e in events[1:])])
    assert await store.trim() == 3
    (letter,) = await store.history.dead_letters(Selection(SHOP, event_id="0"))
    assert letter.stored == events[0]
    await store.close()


async def test_a_store_of_the_format_before_is_read_and_written_on(tmp_path: Path) -> None:
    with apsw.Connection(str(tmp_path / "events.db")) as connection:
        connection.execute(schema._SCHEMA)
        connection.execute("INSERT INTO triggers VALUES ('t', ?, 0)", (SHOP,))
        new = new_event(1)
        encoded = encode(new)
        checksum = _before_format_7(encoded.checksum, 1)
        row = (1, 5.0, SHOP, encoded.attributes, encoded.carried, new.event.data, checksum)
        connection.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?)", row)
        connection.execute("INSERT INTO dead_letters SELECT 't', 'answered 400', * FROM events")
        connection.execute("PRAGMA user_version=2")
    store = open_sqlite(tmp_path)
    (stored,) = await store.read(SHOP, 0, 10)
    assert stored.event.id == "1"
    (letter,) = await store.history.dead_letters(Selection(SHOP, event_id="1"))
    assert (letter.stored, letter.reason, letter.failure) == (stored, "answered 400", None)
    assert (await store.open_trigger("t", SHOP)).cursor == 0
    await store.settle([Settlement("t", 1, Outcome.DELIVERED)])
    assert (await store.append(new_event(2))).sequence == 2
    await store.close()
    await open_sqlite(tmp_path).close()


async def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    await open_sqlite(tmp_path).close()
    with apsw.Connection(str(tmp_path / "events.db")) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(StoreError, match="format 99"):
        open_sqlite(tmp_path)


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.append(new_event(1))
