"""Damage in the log is told from a write that never ended, bit by bit."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventmesh.activator.broker.store import upkeep
from eventmesh.activator.broker.store.errors import CorruptStore
from eventmesh.activator.broker.store.log_tail import read_tail
from eventmesh.activator.broker.store.repair import repair
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.base.clock import SystemClock
from tests.contracts.event_store import SHOP, new_event

PAGE, FRAME, HEADER = 4096, 24, 32
MARK_AT = 64
EVENTS = 6


def crashed(directory: Path, events: int = EVENTS) -> Path:
    """Return a directory as a crash leaves it: a database and a log that nobody tidied up."""

    async def write() -> None:
        store = SqliteStore(directory / "live" / "events.db", SystemClock())
        for number in range(events):
            await store.append(new_event(number))
        shutil.copytree(directory / "live", directory / "left", ignore=shutil.ignore_patterns("*-shm"))
        await store.close()

    asyncio.run(write())
    return directory / "left"


def commits(log: Path) -> list[int]:
    """Return the offsets at which transactions end."""
    data = log.read_bytes()
    starts = range(HEADER, len(data), FRAME + PAGE)
    return [at + FRAME + PAGE for at in starts if data[at + 4 : at + 8] != b"\0\0\0\0"]


def flip(file: Path, at: int, bit: int = 0) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1 << bit
    file.write_bytes(data)


def power_cut(directory: Path) -> None:
    """Take away what only a crash of the process leaves: the mark, which is never synced."""
    with (directory / "events.db-sums").open("r+b") as sums:
        sums.seek(MARK_AT)
        sums.write(bytes(64))


def ids(directory: Path) -> Iterator[str]:
    async def read() -> list[str]:
        store = SqliteStore(directory / "events.db", SystemClock())
        try:
            return [stored.event.id for stored in await store.read(SHOP, 0, 100)]
        finally:
            await store.close()

    yield from asyncio.run(read())


@pytest.fixture
def left(tmp_path: Path) -> Path:
    return crashed(tmp_path)


def test_what_a_crash_leaves_is_read_to_its_end(left: Path) -> None:
    assert list(ids(left)) == [str(n) for n in range(EVENTS)]


@pytest.mark.parametrize("power", [True, False])
def test_any_flipped_bit_is_refused_and_nothing_is_touched(left: Path, power: bool) -> None:
    log = left / "events.db-wal"
    whole = log.read_bytes()
    # After a power cut the last two transactions look like a write that never ended.
    end = commits(log)[-1 if power else -3]
    if not power:
        power_cut(left)
    rng = random.Random(7)
    # Every field of a frame's header and places all over pages; the page number's and the checksum's bits included.
    heads = [at + offset for at in range(HEADER, end, FRAME + PAGE) for offset in range(FRAME)]
    places = [*rng.sample(heads, 40), *(rng.randrange(HEADER, end) for _ in range(40))]
    for place in places:
        flip(log, place, rng.randrange(8))
        broken = log.read_bytes()
        with pytest.raises(CorruptStore, match="acknowledged pages lie there"):
            list(ids(left))
        assert log.read_bytes() == broken
        log.write_bytes(whole)


def test_the_error_names_what_is_lost_and_says_how_to_go_on(left: Path) -> None:
    log = left / "events.db-wal"
    third = commits(log)[-5]
    flip(log, third + FRAME + 100)
    with pytest.raises(CorruptStore, match=rf"the events 3 to 6\); .*eventmesh events repair --data-dir {left}$"):
        list(ids(left))
    assert repair(left / "events.db", dry_run=False).found.lost == []
    assert list(ids(left)) == [str(n) for n in range(EVENTS)]


def test_a_damaged_header_is_refused(left: Path) -> None:
    for place in range(HEADER):
        flip(left / "events.db-wal", place)
        with pytest.raises(CorruptStore, match="has a damaged header"):
            list(ids(left))
        flip(left / "events.db-wal", place)
    assert len(list(ids(left))) == EVENTS


def test_a_write_that_never_ended_is_dropped_and_told(left: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = left / "events.db-wal"
    power_cut(left)
    before_last = commits(log)[-2]
    # As after a power cut in the middle of the last sync: its first page never came, later ones did.
    flip(log, before_last + FRAME + 7)
    with caplog.at_level(logging.WARNING):
        assert list(ids(left)) == [str(n) for n in range(EVENTS - 1)]
    assert "unfinished write" in caplog.text


@pytest.mark.parametrize("cut", [1, FRAME, FRAME + PAGE, HEADER + 1])
def test_a_log_that_ends_early_is_no_damage_after_a_power_cut_and_damage_otherwise(left: Path, cut: int) -> None:
    log = left / "events.db-wal"
    whole = log.read_bytes()
    log.write_bytes(whole[:-cut])
    with pytest.raises(CorruptStore, match=r"acknowledged pages lie there \(among them the events 6 to 6\)"):
        list(ids(left))
    power_cut(left)
    assert list(ids(left)) == [str(n) for n in range(EVENTS - 1)]


def test_frames_of_an_earlier_log_in_the_same_file_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reached with the eighth event.
    monkeypatch.setattr(upkeep, "CHECKPOINT_PAGES", 35)

    async def write() -> None:
        store = SqliteStore(tmp_path / "live" / "events.db", SystemClock())
        for number in range(8):
            await store.append(new_event(number))
        # The log was copied and begun anew from its start: behind the new frames lie old ones, with good checksums.
        await store.append(new_event(8))
        shutil.copytree(tmp_path / "live", tmp_path / "left", ignore=shutil.ignore_patterns("*-shm"))
        await store.close()

    asyncio.run(write())
    log = tmp_path / "left" / "events.db-wal"
    assert len(commits(log)) > 1
    assert list(ids(tmp_path / "left")) == [str(n) for n in range(9)]


def test_no_log_has_no_tail(tmp_path: Path) -> None:
    assert read_tail(tmp_path / "none", 0) is None
    (tmp_path / "empty").write_bytes(b"")
    tail = read_tail(tmp_path / "empty", 0)
    assert tail is not None and not tail.header_broken and tail.frames == 0
