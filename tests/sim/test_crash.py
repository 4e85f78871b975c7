"""A store is stopped at every write, sync, truncation and deletion it makes: what was acknowledged is there, all of it.

One run of everything a broker does with its store is recorded, change by change. Then each moment of it is had again,
as a killed process leaves the files and as a power cut may, and the store that is opened there must hold exactly what
it held after the last step that had been acknowledged, or after the one that was under way.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from eventmesh.activator.broker.store import upkeep
from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.replays import Advance, NewReplay
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.store.values import Attempt, Failure, Outcome, Settlement
from tests.contracts.event_store import BANK, SHOP, new_event
from tests.manual_clock import ManualClock
from tests.sim.disk import Disk, put
from tests.sim.full_store import DATABASE, Contents, contents

SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
SEED = int(os.environ.get("EVENTMESH_SEED", "1"))
POWER_CUTS, POWER_CUTS_EVERY = (12, 1) if SOAK else (1, 2)
"""Ways in which the power is cut at a moment, and at which."""
RECOVERIES_EVERY = 1 if SOAK else 200
"""At every so many moments the recovery is stopped at each of its own changes as well."""

Step = Callable[[SqliteStore], Awaitable[object]]


@dataclass(slots=True)
class Run:
    """What was recorded."""

    disk: Disk = field(default_factory=Disk)
    held: list[tuple[int, Contents]] = field(default_factory=list)
    """Behind how many changes each step was acknowledged, and what the store held then."""

    def allowed(self, moment: int) -> Sequence[Contents]:
        """Return what a store may hold that was stopped behind so many changes."""
        done = sum(acknowledged <= moment for acknowledged, _ in self.held)
        return [held for _, held in self.held[max(0, done - 1) : done + 1]]


def _settled(sequence: int, outcome: Outcome) -> Step:
    failure = Failure("http://subscriber/", 400, b"no", 2) if outcome is Outcome.KEPT else None
    ends = [Settlement("fast", sequence, outcome, "why", "demo/fast", failure, due=99.0)]
    attempts = [
        Attempt("fast", "demo/fast", sequence, number, False, 5.0, 0.1, 503 if number == 1 else 200)
        for number in (1, 2)
    ]
    attempts[-1] = replace(attempts[-1], outcome=outcome)
    return lambda store: store.settle(ends, attempts)


def steps() -> list[Step | None]:
    """Return what is done, one after the other; None: the store is closed and opened again."""
    twice = replace(new_event(90), unique_for_s=60.0)
    order: list[Step | None] = [
        lambda store: store.open_trigger("fast", SHOP),
        lambda store: store.open_trigger("slow", SHOP),
    ]
    for n in range(8):
        event = new_event(n, BANK if n == 3 else SHOP, data=b"%d" % n * (1 if n % 2 else 2_500))
        order.append(lambda store, event=event: store.append(event))  # type: ignore[misc]
    order += [_settled(1, Outcome.DELIVERED), _settled(2, Outcome.KEPT), _settled(5, Outcome.DEFERRED)]
    order += [lambda store: store.append(twice)] * 2
    order += [None, _settled(3, Outcome.FILTERED)]
    order.append(lambda store: store.queue.redrive(Selection(SHOP), 7.0))
    order.append(lambda store: store.replays.start(NewReplay("fast", "demo/fast", SHOP), 0.0))
    order.append(lambda store: store.replays.advance(Advance(1, 2, [(1, 0.0), (2, 0.0)], 0.0)))
    order.append(lambda store: store.replays.stop(1))
    order += [lambda store: store.forget_trigger("slow"), lambda store: store.trim()]
    order += [lambda store: store.append(new_event(91)), None, lambda store: store.append(new_event(92))]
    return order


async def record(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Do everything once, watched."""
    monkeypatch.setattr(upkeep, "CHECKPOINT_PAGES", 60)
    run = Run()
    with run.disk.recorded(monkeypatch):
        store = SqliteStore(directory / DATABASE, ManualClock())
        run.held.append((len(run.disk.changes), await contents(store)))
        for step in steps():
            if step is None:
                await store.close()
                store = SqliteStore(directory / DATABASE, ManualClock())
            else:
                await step(store)
            acknowledged = len(run.disk.changes)
            run.held.append((acknowledged, await contents(store)))
        await store.close()
    assert run.disk.after_kill(len(run.disk.changes)) == {
        name: (directory / name).read_bytes() for name in (DATABASE, f"{DATABASE}-sums")
    }, "what was recorded is what is there"
    return run


async def found_in(directory: Path, files: Mapping[str, bytes], case: str) -> Contents:
    """Open the store in these files, and return what it holds."""
    where = put(files, directory)
    try:
        store = SqliteStore(where / DATABASE, ManualClock())
        try:
            return await contents(store)
        finally:
            await store.close()
    except StoreError as error:
        raise AssertionError(f"{case}: {error}") from error
    finally:
        shutil.rmtree(where)


async def test_a_killed_process_loses_nothing_wherever_it_was(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = await record(memory / "live", monkeypatch)
    for moment in range(run.held[0][0], len(run.disk.changes) + 1):
        found = await found_in(memory / "left", run.disk.after_kill(moment), f"change {moment}")
        assert found in run.allowed(moment), f"change {moment}: {run.disk.changes[moment - 1 : moment + 1]}"
    with capsys.disabled():
        sys.stdout.write(f"\n  killed at each of {len(run.disk.changes)} changes, {len(run.held)} steps: 0 lost\n")


async def test_a_power_cut_loses_nothing_whatever_the_disk_had_written(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = await record(memory / "live", monkeypatch)
    rng, cuts = random.Random(SEED), 0
    for moment in range(run.held[0][0], len(run.disk.changes) + 1, POWER_CUTS_EVERY):
        for cut in range(POWER_CUTS):
            case = f"seed {SEED}, change {moment}, cut {cut}"
            found = await found_in(memory / "left", run.disk.after_power_cut(moment, rng), case)
            assert found in run.allowed(moment), case
            cuts += 1
    with capsys.disabled():
        sys.stdout.write(f"\n  seed {SEED}: {cuts} power cuts, writes lost and reordered: 0 lost\n")


async def test_a_recovery_that_is_stopped_itself_loses_nothing(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = await record(memory / "live", monkeypatch)
    rng, stops = random.Random(SEED), 0
    for moment in range(run.held[0][0], len(run.disk.changes) + 1, RECOVERIES_EVERY):
        files = run.disk.after_power_cut(moment, rng)
        again = Disk()
        # What was there before is on the disk for good.
        for name, data in files.items():
            again.put(name, data)
        begun = len(again.changes)
        with again.recorded(monkeypatch):
            await found_in(memory / "first", files, f"change {moment}")
        for stop in range(begun, len(again.changes) + 1):
            case = f"seed {SEED}, change {moment}, change {stop - begun} of the recovery"
            for left in (again.after_kill(stop), again.after_power_cut(stop, rng)):
                assert await found_in(memory / "second", left, case) in run.allowed(moment), case
                stops += 1
    with capsys.disabled():
        sys.stdout.write(f"\n  seed {SEED}: {stops} recoveries stopped: 0 lost\n")
