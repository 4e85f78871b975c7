"""Bits that flip on disk: nothing wrong is delivered, nothing is lost without being named.

Each case damages a copy of one store in one place, opens it, and has it repaired when that is refused.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections import Counter
from dataclasses import replace
from enum import Enum
from pathlib import Path

import pytest

from eventmesh.activator.broker.store import repair as repairing
from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.page_sums import PAGE_SIZE
from eventmesh.activator.broker.store.repair import Repair, repair
from eventmesh.activator.broker.store.sqlite import SqliteStore
from tests.manual_clock import ManualClock
from tests.sim.full_store import DATABASE, FILES, Contents, contents, differences, make

SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
SEED = int(os.environ.get("EVENTMESH_SEED", "1"))
FLIPS = 4_096 if SOAK else 64
SECTORS = 512 if SOAK else 16
SECTOR = 512


class Ended(Enum):
    """How a case ended."""

    HARMLESS = "harmless"
    """The store opened, and all of it is there."""
    REPAIRED = "repaired"
    """It was refused, and after the repair all of it was there again."""
    NAMED = "named"
    """Some of it is lost, and the repair says what."""


async def look(directory: Path) -> Contents:
    """Return what the store in `directory` holds; raises StoreError."""
    store = SqliteStore(directory / DATABASE, ManualClock())
    try:
        return await contents(store)
    finally:
        await store.close()


async def judge(directory: Path, held: Contents, case: str) -> Ended:
    """Open a damaged store, and repair it if that is refused."""
    before = {name: (directory / name).read_bytes() for name in FILES}
    try:
        found = await look(directory)
    except StoreError:
        after = {name: (directory / name).read_bytes() for name in FILES[:2]}
        assert after == {name: before[name] for name in FILES[:2]}, f"{case}: what is damaged was written to"
    else:
        assert differences(held, found, ()) == [], case
        return Ended.HARMLESS
    done: Repair = repair(directory / DATABASE, dry_run=False)
    assert done.is_needed, case
    found = await look(directory)
    rebuilt = frozenset(place.uid for place in done.places)
    if done.may_lack_triggers:
        kept = {place.uid: held.progress[place.uid] for place in done.found.places}
        held = replace(held, progress=kept)
    wrong = differences(held, found, done.found.lost, rebuilt)
    assert wrong == [] or (done.found.unreadable and all("gone" in line for line in wrong)), (case, wrong)
    whole = (found.events, found.queued.keys(), found.dead) == (held.events, held.queued.keys(), held.dead)
    return Ended.REPAIRED if whole and not rebuilt else Ended.NAMED


def places(directory: Path, count: int, rng: random.Random) -> list[tuple[str, int]]:
    """Return `count` places, spread over the pages of all files, each page's beginning and end included."""
    found: list[tuple[str, int]] = []
    sizes = {name: (directory / name).stat().st_size for name in FILES}
    total = sum(sizes.values())
    for name, size in sizes.items():
        for _ in range(max(4, -(-count * size // total))):
            page = rng.randrange(max(1, size // PAGE_SIZE)) * PAGE_SIZE
            # Every third one where a page tells of itself, or a frame does.
            at = page + (rng.randrange(40) if rng.randrange(3) == 0 else rng.randrange(PAGE_SIZE))
            found.append((name, min(at, size - 1)))
    return found


async def test_a_flipped_bit_is_harmless_or_refused_and_put_right(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = await make(memory / "left", monkeypatch)
    rng, ended = random.Random(SEED), Counter[tuple[str, Ended]]()
    for name, at in places(memory / "left", FLIPS, rng):
        bit = rng.randrange(8)
        damaged = Path(shutil.copytree(memory / "left", memory / "case"))
        data = bytearray((damaged / name).read_bytes())
        data[at] ^= 1 << bit
        (damaged / name).write_bytes(data)
        ended[name, await judge(damaged, held, f"seed {SEED}: bit {bit} of byte {at} of {name}")] += 1
        shutil.rmtree(damaged)
    assert not ended[DATABASE, Ended.NAMED], "which bit of a page has flipped can always be told"
    assert ended[DATABASE, Ended.REPAIRED] and ended[f"{DATABASE}-wal", Ended.REPAIRED]
    report(capsys, "flipped bits", ended)


async def test_what_a_lost_sector_takes_along_is_named(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = await make(memory / "left", monkeypatch)
    rng, ended = random.Random(SEED), Counter[tuple[str, Ended]]()
    for name, near in places(memory / "left", SECTORS, rng):
        at = near // SECTOR * SECTOR
        damaged = Path(shutil.copytree(memory / "left", memory / "case"))
        data = bytearray((damaged / name).read_bytes())
        data[at : at + SECTOR] = rng.randbytes(len(data[at : at + SECTOR]))
        (damaged / name).write_bytes(data)
        ended[name, await judge(damaged, held, f"seed {SEED}: sector at {at} of {name}")] += 1
        shutil.rmtree(damaged)
    assert sum(ended.values()) >= SECTORS
    report(capsys, "lost sectors", ended)


async def test_a_repair_that_is_killed_can_be_done_again(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = await make(memory / "left", monkeypatch)
    with (memory / "left" / f"{DATABASE}-wal").open("r+b") as log:
        log.seek(3 * PAGE_SIZE)
        log.write(b"damage")
    stopped = 0
    while True:
        damaged = Path(shutil.copytree(memory / "left", memory / f"case-{stopped}"))
        syncs = 0

        def sync(path: Path, last: int = stopped) -> None:
            nonlocal syncs
            syncs += 1
            if syncs > last:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(repairing, "_sync", sync)
            try:
                repair(damaged / DATABASE, dry_run=False)
            except KeyboardInterrupt:
                pass
            else:
                break
        repair(damaged / DATABASE, dry_run=False)
        assert differences(held, await look(damaged), ()) == [], f"stopped at sync {stopped}"
        stopped += 1
    assert stopped == 5


def report(capsys: pytest.CaptureFixture[str], what: str, ended: Counter[tuple[str, Ended]]) -> None:
    """Print how the cases ended, by file."""
    cases = ", ".join(f"{name} {how.value} {count}" for (name, how), count in sorted(ended.items(), key=str))
    with capsys.disabled():
        sys.stdout.write(f"\n  {sum(ended.values())} {what}, 0 wrong, 0 lost in silence: {cases}\n")
