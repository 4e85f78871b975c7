"""A store with everything in it, as a crash leaves it, and a look at whether all of it is still there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from eventmesh.activator.broker.store import upkeep
from eventmesh.activator.broker.store.history import Query
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.replays import NewReplay, Replay
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.store.values import Attempt, Failure, Outcome, Progress, Settlement, StoredEvent
from tests.contracts.event_store import BANK, SHOP, new_event
from tests.manual_clock import ManualClock

DATABASE = "events.db"
FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-sums")
TRIGGERS = {"fast": SHOP, "slow": SHOP, "new": SHOP, "teller": BANK}
EVENTS = 60
ALL = Selection("demo/")
MANY = 10_000

Copy = tuple[str, int]
"""UID of a trigger, and the sequence of an event of which the store has a copy for it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store holds, as far as it promises anything about it."""

    events: Mapping[int, StoredEvent]
    progress: Mapping[str, Progress]
    queued: Mapping[Copy, StoredEvent | None]
    dead: Mapping[Copy, StoredEvent | None]
    replays: Sequence[Replay]
    attempts: Sequence[Attempt]

    def waits_for(self, trigger: str, sequence: int) -> bool:
        """Return whether the trigger will still get the event."""
        place = self.progress.get(trigger)
        if place is None:
            return False
        return (sequence > place.cursor and sequence not in place.ahead) or (trigger, sequence) in self.queued


async def contents(store: SqliteStore) -> Contents:
    """Return what the store holds; raises StoreError when it cannot be read."""
    events: dict[int, StoredEvent] = {}
    for broker in (SHOP, BANK):
        found = await store.read(broker, 0, MANY)
        events |= {stored.sequence: stored for stored in found}
    # One that is not there would begin now.
    known = set(await store.triggers())
    progress = {uid: await store.open_trigger(uid, broker) for uid, broker in TRIGGERS.items() if uid in known}
    # Lists are without data: each copy is looked at by itself.
    entries = [await store.queue.entry(entry.entry) for entry in await store.queue.waiting("demo/", MANY)]
    queued = {(entry.trigger, entry.sequence): entry.stored for entry in entries if entry is not None}
    dead: dict[Copy, StoredEvent | None] = {}
    for listed in await store.history.dead_letters(ALL, MANY):
        event_id = listed.stored.event.id if listed.stored else ""
        for letter in await store.history.dead_letters(Selection("demo/", event_id=event_id)):
            dead[letter.trigger, letter.sequence] = letter.stored
    recorded = await store.history.attempts(Query("demo/", limit=MANY))
    attempts = [row.attempt for row in recorded]
    return Contents(events, progress, queued, dead, await store.replays.all(), attempts)


async def make(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Contents:
    """Leave a store in `directory` as a crash does, partly in the log; return what it holds."""
    monkeypatch.setattr(upkeep, "CHECKPOINT_PAGES", 90)
    live = directory.with_name("live")
    clock = ManualClock()
    store = SqliteStore(live / DATABASE, clock)
    for uid in ("fast", "slow", "teller"):
        await store.open_trigger(uid, TRIGGERS[uid])
    for n in range(EVENTS):
        event = new_event(n, BANK if n % 5 == 4 else SHOP, data=b"%d " % n * (1 + n * n % 1500))
        await store.append(replace(event, unique_for_s=3600.0 if n % 3 == 0 else 0.0))
        if n % 4 == 3:
            await _settle(store, n - 3)
    await store.open_trigger("new", SHOP)
    await store.queue.redrive(Selection(SHOP, event_id="5"), 7.0)
    await store.append(new_event(EVENTS))
    await store.replays.start(NewReplay("fast", "demo/fast", SHOP), 0.0)
    shutil.copytree(live, directory, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
    held = await contents(store)
    await store.close()
    return held


async def _settle(store: SqliteStore, first: int) -> None:
    ends: list[Settlement] = []
    attempts: list[Attempt] = []
    for sequence in range(first + 1, first + 4):
        fast, slow = _outcome(sequence), Outcome.DELIVERED
        failure = Failure("http://subscriber/", 400, b"no", 1) if fast is Outcome.KEPT else None
        ends.append(Settlement("fast", sequence, fast, "", "demo/fast", failure, due=1000.0 + sequence))
        attempts.append(Attempt("fast", "demo/fast", sequence, 1, False, 5.0, 0.1, 200, "", fast))
        # The slow one leaves gaps behind itself.
        if sequence % 3:
            ends.append(Settlement("slow", sequence, slow, "", "demo/slow"))
            attempts.append(Attempt("slow", "demo/slow", sequence, 1, False, 5.0, 0.1, 200, "", slow))
    await store.settle(ends, attempts)


def _outcome(sequence: int) -> Outcome:
    return {6: Outcome.KEPT, 11: Outcome.DEFERRED, 17: Outcome.KEPT, 22: Outcome.DEFERRED}.get(
        sequence, Outcome.DELIVERED
    )


def differences(
    before: Contents, after: Contents, lost: Sequence[tuple[int, int]], rebuilt: frozenset[str] = frozenset()
) -> list[str]:
    """Return what is wrong in a store: what is gone without being named, or is not what it was."""
    gone = {sequence for first, last in lost for sequence in range(first, last + 1)}
    wrong = [f"event {s} is gone" for s in before.events if s not in after.events and s not in gone]
    wrong += [f"event {s} is not what it was" for s, e in after.events.items() if before.events.get(s) != e]
    for uid, place in before.progress.items():
        now = after.progress.get(uid)
        if now is None:
            wrong.append(f"trigger {uid} is gone")
        elif now.cursor > place.cursor or (not now.ahead <= place.ahead and uid not in rebuilt):
            wrong.append(f"trigger {uid} is ahead of what it has done: {now} instead of {place}")
    for kind, copies in (("queued", before.queued), ("dead", before.dead)):
        for (uid, sequence), stored in copies.items():
            held = after.queued.get((uid, sequence)) or after.dead.get((uid, sequence))
            if held != stored and not (sequence in gone or after.waits_for(uid, sequence)):
                wrong.append(f"{kind} event {sequence} of {uid} is gone")
    for what, now_there in (("queue", after.queued), ("dead letters", after.dead)):
        wrong += [f"{what}: {c} is not what it was" for c, e in now_there.items() if e and before.events[c[1]] != e]
    return wrong
