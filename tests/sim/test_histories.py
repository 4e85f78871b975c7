"""Hours of a broker in virtual time, with kills, power cuts, partitions, pauses and clocks that are set.

A history that breaks a promise prints its seed; `make soak SEED=n` (or EVENTMESH_SEED=n) makes it again.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from eventmesh.activator.broker.delivery import Send, Settled
from eventmesh.activator.broker.store import settling, upkeep
from eventmesh.activator.broker.store.values import Outcome
from eventmesh.activator.broker.worker import TriggerWorker
from tests.sim.disk import Disk, Kind
from tests.sim.virtual_time import VirtualLoop, run
from tests.sim.world import PromiseBroken, World

SEED = int(os.environ.get("EVENTMESH_SEED", "1"))
HOURS = float(os.environ.get("EVENTMESH_HOURS") or ("100" if os.environ.get("EVENTMESH_SOAK") else "0.3"))


def history(
    seed: int, hours: float, directory: Path, monkeypatch: pytest.MonkeyPatch, *, hurry: float = 1.0, syncs: bool = True
) -> World:
    """Make a history; raises PromiseBroken. Without `syncs` the disk does not do what it is asked."""
    monkeypatch.setattr(upkeep, "CHECKPOINT_PAGES", 200)
    directory.mkdir()
    disk = Disk() if syncs else _LazyDisk()

    async def live(loop: VirtualLoop) -> World:
        world = World(seed, directory, disk, loop, monkeypatch, hurry)
        await world.live(hours)
        return world

    with disk.recorded(monkeypatch, random.Random(seed)):
        return run(live)


class _LazyDisk(Disk):
    def note(self, kind: Kind, name: str, at: int = 0, data: bytes = b"") -> None:
        if kind is not Kind.SYNC:
            super().note(kind, name, at, data)


@pytest.mark.timeout(300 + 100 * HOURS)
def test_no_history_breaks_a_promise(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = history(SEED, HOURS, memory / "world", monkeypatch)
    assert len(world.accepted) == len(world.sent) > HOURS * 3600
    repeated = sum(s.got.total() - len(s.got) for s in world.subscribers.values())
    faults = ", ".join(f"{count} x {kind}" for kind, count in sorted(world.faults.items()))
    with capsys.disabled():
        sys.stdout.write(
            f"\n  seed {SEED}: {HOURS:g} hours, {len(world.accepted)} events, {faults}: "
            f"0 lost, 0 out of order, {repeated} delivered again\n"
        )


def test_a_seed_makes_the_same_history_again(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (history(SEED, 0.05, memory / name, monkeypatch, hurry=8.0).story() for name in ("first", "second"))
    assert first == second


def no_sync(_: pytest.MonkeyPatch) -> None:
    """Leave it to the disk."""


def settle_early(patch: pytest.MonkeyPatch) -> None:
    """Take an event for delivered before it was sent."""
    send_it = TriggerWorker._send

    async def send_late(self: TriggerWorker, send: Send) -> None:
        self._settle(send.sequence, send.entry, Settled(Outcome.DELIVERED))
        await self.flush()
        await send_it(self, send)

    patch.setattr(TriggerWorker, "_send", send_late)


def mix_keys(patch: pytest.MonkeyPatch) -> None:
    """Order nothing."""
    patch.setattr(TriggerWorker, "_group", lambda _worker, _stored: "")


def skip_what_is_in_flight(patch: pytest.MonkeyPatch) -> None:
    """Go on behind everything that has been read, as who keeps no set of what is settled ahead of the cursor."""

    def hasty(connection: apsw.Connection, trigger: str) -> None:
        sql = "UPDATE triggers SET cursor = (SELECT max(sequence) FROM ahead WHERE uid = ?1) WHERE uid = ?1"
        connection.execute(sql, (trigger,))
        connection.execute("DELETE FROM ahead WHERE uid = ?", (trigger,))

    patch.setattr(settling, "_advance", hasty)


@pytest.mark.parametrize("mutation", [no_sync, settle_early, mix_keys, skip_what_is_in_flight])
def test_a_history_of_a_faulty_broker_breaks_a_promise(
    memory: Path, monkeypatch: pytest.MonkeyPatch, mutation: Callable[[pytest.MonkeyPatch], None]
) -> None:
    mutation(monkeypatch)
    with pytest.raises(PromiseBroken, match=r"SEED=\d"):
        for seed in range(1, 6):
            history(seed, 0.05, memory / str(seed), monkeypatch, hurry=8.0, syncs=mutation is not no_sync)


def test_a_subscriber_that_is_away_holds_up_no_other(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (memory / "world").mkdir()

    async def live(loop: VirtualLoop) -> World:
        world = World(SEED, memory / "world", Disk(), loop, monkeypatch, hurry=0.0)
        world.subscribers["all"].cut_off_until = 600.0
        await world.live(hours=0.02)
        return world

    world = run(live)
    assert world.slowest["ordered"] < 1.0 and world.slowest["some"] < 1.0, world.slowest
    assert world.slowest["all"] > 500.0
    assert world.slowest_acceptance_s < 0.1
