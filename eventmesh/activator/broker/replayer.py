"""Carries replays out: a few events at a time go from the past into the queue of their trigger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.errors import DamagedEvent, StoreError
from eventmesh.activator.broker.store.replays import Advance, Replay
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.activator.broker.triggers import Subscription, TriggerSource
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.tasks import is_set_within
from eventmesh.cloudevents.cesql import CesqlError, compile_cesql
from eventmesh.cloudevents.event import Event

WINDOW = 2_048
"""Replayed events that may wait in the queue of one trigger: they are copies, so as few as keep it busy."""

LOOKED_AT = 512
"""Events looked at in one step; with fewer the sync that each step waits for would set the pace."""

MAX_STEP_BYTES = 16 << 20
"""Data of the events of one step, and one event more: all of them are in memory and in one transaction."""

FILTERED_TOGETHER = 128
"""So many events are held against filters before others get their turn on the event loop."""

LOOK_AGAIN_S = 0.02
"""Wait before a trigger whose queue is full is looked at again."""

STORE_RETRY_S = 1.0
"""Wait before the store is tried again after it failed."""

IDLE_S = 30.0
"""Without a replay the store is asked this often whether there is one, should the word of it have been lost."""

_log = log.get("activator.broker.replayer")


class Replayer:
    """The replays of all triggers."""

    def __init__(self, store: EventStore, triggers: TriggerSource, clock: Clock, queued: Callable[[str], None]) -> None:
        """`queued` is told the UID of a trigger that has something in its queue."""
        self._store = store
        self._triggers = triggers
        self._clock = clock
        self._queued = queued
        self._asked = asyncio.Event()
        self._waiting: dict[str, int] = {}
        """By trigger, how many replayed events wait in its queue at the most: counted anew when they seem too many."""

    def wake(self) -> None:
        """Look at the replays: there is a new one."""
        self._asked.set()

    async def run(self) -> None:
        """Carry replays out, those from before a restart first, until cancelled."""
        while True:
            self._asked.clear()
            try:
                wait_s = await self.step()
            except StoreError as error:
                _log.error("event store", reason=error)
                wait_s = STORE_RETRY_S
            if wait_s > 0:
                await is_set_within(self._asked, wait_s)

    async def step(self) -> float:
        """Take every replay a step further; return how long to wait before the next. Raises StoreError."""
        replays = await self._store.replays.all()
        moved = [await self._step(replay) for replay in replays]
        if any(moved):
            return 0.0
        if not replays:
            self._waiting.clear()
        return LOOK_AGAIN_S if replays else IDLE_S

    async def _step(self, replay: Replay) -> bool:
        """Return whether there may be more to do at once."""
        subscription = self._triggers.subscriptions().get(replay.trigger)
        if subscription is None or not self._store.shares.mine(replay.trigger):
            # A Trigger that is gone takes its replays along (`forget_trigger`); one without a subscriber waits, and one
            # that another process works on is replayed there.
            self._waiting.pop(replay.trigger, None)
            return False
        if await self._free(replay.trigger) < LOOKED_AT:
            return False
        events, position = await self._next(replay)
        wanted = await self._wanted(replay, subscription, events)
        step = self._paced(replay, wanted, position)
        queued = await self._store.replays.advance(step)
        if queued:
            self._waiting[replay.trigger] += queued
            self._queued(replay.trigger)
        if position >= replay.last:
            _log.info("replay has ended", number=replay.number, trigger=replay.name, events=replay.queued + queued)
        return True

    async def _free(self, trigger: str) -> int:
        """Return how many more may wait in the queue of the trigger."""
        if self._waiting.get(trigger, WINDOW) > WINDOW - LOOKED_AT:
            self._waiting[trigger] = await self._store.replays.outstanding(trigger)
        return WINDOW - self._waiting[trigger]

    async def _next(self, replay: Replay) -> tuple[Sequence[StoredEvent], int]:
        """Return some events of a replay, and up to where it is with them."""
        try:
            found = await self._store.read(replay.broker, replay.position, LOOKED_AT, MAX_STEP_BYTES)
        except DamagedEvent as error:
            # It is passed over: no trigger can get it any more.
            return _within(replay, error.before), min(error.sequence, replay.last)
        inside = _within(replay, found)
        is_full = len(found) == LOOKED_AT or sum(stored.size for stored in found) >= MAX_STEP_BYTES
        return inside, found[-1].sequence if is_full and len(inside) == len(found) else replay.last

    async def _wanted(
        self, replay: Replay, subscription: Subscription, events: Sequence[StoredEvent]
    ) -> Sequence[StoredEvent]:
        passes = _filter_of(replay)
        wanted: list[StoredEvent] = []
        for first in range(0, len(events), FILTERED_TOGETHER):
            some = events[first : first + FILTERED_TOGETHER]
            wanted += [stored for stored in some if subscription.passes(stored.event) and passes(stored.event)]
            await self._clock.sleep(0)
        return wanted

    def _paced(self, replay: Replay, events: Sequence[StoredEvent], position: int) -> Advance:
        due = max(replay.next_due, self._clock.now().timestamp())
        between = 1 / replay.rate_per_s if replay.rate_per_s else 0.0
        times = [(stored.sequence, due + at * between) for at, stored in enumerate(events)]
        return Advance(replay.number, position, times, due + len(events) * between)


def _within(replay: Replay, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
    return [stored for stored in events if stored.sequence <= replay.last]


def _filter_of(replay: Replay) -> Callable[[Event], bool]:
    if not replay.expression:
        return lambda _event: True
    try:
        return compile_cesql(replay.expression).passes
    except CesqlError as error:
        # It was compiled when the replay was asked for: another version of eventmesh reads it differently.
        _log.error("replay cannot go on", number=replay.number, reason=error)
        return lambda _event: False
