"""The tests of this directory notice what they are there for: each fault put into the store on purpose is caught."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from eventmesh.activator.broker.store import opening, records
from eventmesh.activator.broker.store.committer import Committer
from eventmesh.activator.broker.store.page_sums import PageSums
from tests.sim.disk import Kind
from tests.sim.full_store import DATABASE, make
from tests.sim.test_crash import Run, found_in, record
from tests.sim.test_damage import judge

CUTS = 2
"""Power cuts at each moment."""
FLIPS = 80


@pytest.fixture
def mutant() -> Iterator[pytest.MonkeyPatch]:
    """Return what puts the fault into the store, and takes it out when the test ends."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


async def is_caught(directory: Path, faulty: Run, sound: Run) -> bool:
    """Return whether a power cut of a faulty run loses something that a sound one would have kept."""
    kept = [held for _, held in sound.held]
    run = Run(faulty.disk, [(moment, held) for (moment, _), held in zip(faulty.held, kept, strict=True)])
    rng = random.Random(1)
    for moment in range(run.held[0][0], len(run.disk.changes) + 1):
        for _ in range(CUTS):
            try:
                found = await found_in(directory / "left", run.disk.after_power_cut(moment, rng), "mutant")
            except AssertionError:
                return True
            if found not in run.allowed(moment):
                return True
    return False


async def test_syncs_that_do_nothing_are_caught(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await record(memory / "live", monkeypatch)
    faulty = Run(run.disk.without(Kind.SYNC, "-wal"), run.held)
    assert await is_caught(memory, faulty, run)


async def test_a_sync_at_checkpoints_only_is_caught(
    memory: Path, monkeypatch: pytest.MonkeyPatch, mutant: pytest.MonkeyPatch
) -> None:
    sound = await record(memory / "sound", monkeypatch)
    connect = opening.connect

    def lazily(path: Path) -> apsw.Connection:
        connection = connect(path)
        connection.pragma("synchronous", "NORMAL")
        return connection

    mutant.setattr(opening, "connect", lazily)
    faulty = await record(memory / "live", monkeypatch)
    mutant.undo()
    assert await is_caught(memory, faulty, sound)


async def test_an_early_acknowledgement_is_caught(
    memory: Path, monkeypatch: pytest.MonkeyPatch, mutant: pytest.MonkeyPatch
) -> None:
    sound = await record(memory / "sound", monkeypatch)
    perform = Committer._perform

    def early(self: Committer, job: object) -> bool:
        done = perform(self, job)  # type: ignore[arg-type]
        self._hand_back([job])  # type: ignore[list-item]
        with self._ready:
            # It is committed when somebody else wants something.
            self._ready.wait_for(lambda: self._inbox.jobs or self._inbox.closed, timeout=20)
        return done

    mutant.setattr(Committer, "_perform", early)
    faulty = await record(memory / "live", monkeypatch)
    mutant.undo()
    assert await is_caught(memory, faulty, sound)


@pytest.mark.parametrize("skipped", ["pages", "pages and events"])
async def test_checksums_that_are_not_looked_at_are_caught(
    memory: Path, monkeypatch: pytest.MonkeyPatch, mutant: pytest.MonkeyPatch, skipped: str
) -> None:
    held = await make(memory / "left", monkeypatch)
    size, rng, caught = (memory / "left" / DATABASE).stat().st_size, random.Random(2), 0
    mutant.setattr(PageSums, "differing", lambda *_: ())
    if skipped == "pages and events":
        mutant.setattr(records, "with_place", lambda *_: Anything())
    for _ in range(FLIPS):
        damaged = Path(shutil.copytree(memory / "left", memory / "case"))
        data = bytearray((damaged / DATABASE).read_bytes())
        data[rng.randrange(size)] ^= 1 << rng.randrange(8)
        (damaged / DATABASE).write_bytes(data)
        try:
            await judge(damaged, held, "mutant")
        except Exception:
            # Of any kind: who reads on without a look at checksums meets what cannot be read.
            caught += 1
        shutil.rmtree(damaged)
    assert caught > 0


class Anything:
    """A checksum that is equal to every other."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0
