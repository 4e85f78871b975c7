"""`eventmesh events repair` says what it found, changes nothing when asked not to, and keeps what was damaged."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from eventmesh.activator.broker.store.page_sums import PAGE_SIZE
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.cli.main import main
from tests.contracts.event_store import SHOP, new_event
from tests.manual_clock import ManualClock


def written(directory: Path, count: int) -> Path:
    """Return the file of a store with some events, closed in good order."""

    async def write() -> None:
        store = SqliteStore(directory / "events.db", ManualClock())
        await store.open_trigger("uid-1", SHOP)
        for number in range(count):
            await store.append(new_event(number, data=b"x" * 3_000))
        await store.close()

    asyncio.run(write())
    return directory / "events.db"


def sequences(directory: Path) -> list[int]:
    async def read() -> list[int]:
        store = SqliteStore(directory / "events.db", ManualClock())
        found = [stored.sequence for stored in await store.read(SHOP, 0, 100)]
        await store.close()
        return found

    return asyncio.run(read())


def page_of(database: Path, text: bytes) -> int:
    """Return the offset of the page that holds `text`."""
    return database.read_bytes().index(text) // PAGE_SIZE * PAGE_SIZE


def test_a_lost_page_is_told_and_its_events_keep_their_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = written(tmp_path, 12)
    at = page_of(database, b'"id":"5"')
    data = bytearray(database.read_bytes())
    data[at : at + PAGE_SIZE] = bytes(PAGE_SIZE)
    database.write_bytes(data)
    damaged = database.read_bytes()

    assert main(["events", "repair", "--data-dir", str(tmp_path), "--dry-run"]) == 0
    told = capsys.readouterr()
    assert [line.split() for line in told.out.splitlines()][1] == ["events", "11", "1"]
    assert "lost for good: events 6 to 6" in told.err and "nothing was changed" in told.err
    assert database.read_bytes() == damaged
    assert main(["events", "repair", "--data-dir", str(tmp_path), "-o", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["events"], report["lostEvents"]) == (11, [{"first": 6, "last": 6}])
    assert report["triggers"] == [{"uid": "uid-1", "broker": SHOP, "cursor": 0, "rebuilt": False}]
    assert (Path(report["keptIn"]) / "events.db").read_bytes() == damaged
    assert sequences(tmp_path) == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]


def test_a_sound_store_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = written(tmp_path, 3)
    before = database.read_bytes()
    assert main(["events", "repair", "--data-dir", str(tmp_path)]) == 0
    assert "nothing is damaged" in capsys.readouterr().err
    assert database.read_bytes() == before


def test_a_store_that_is_not_there_or_in_use_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "repair", "--data-dir", str(tmp_path)]) == 3
    assert f"there is no event store {tmp_path}/events.db" in capsys.readouterr().err

    async def while_open() -> None:
        store = SqliteStore(tmp_path / "events.db", ManualClock())
        assert main(["events", "repair", "--data-dir", str(tmp_path)]) == 3
        await store.close()

    asyncio.run(while_open())
    assert "in use by another process" in capsys.readouterr().err
