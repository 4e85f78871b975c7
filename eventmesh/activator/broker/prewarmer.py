"""Pre-warming: functions that an event will lead to are woken while those before them still run.

For Brokers that ask for it (`eventmesh.io/prewarm`). What is foreseen, and what it may cost, is decided in `foresight`
and `guesses`; this file connects them with what is accepted, answered and stored, and keeps their time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from eventmesh.activator.broker.foresight import Foresight
from eventmesh.activator.broker.guesses import Ending, Guesses
from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.history import Query
from eventmesh.activator.broker.store.values import Attempt, Outcome, StoredEvent
from eventmesh.activator.broker.triggers import Subscription, TriggerSource
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.metrics import Counter, Statistics
from eventmesh.base.tasks import TaskGroup, is_set_within

LOOK_AGAIN_S: Final = 1.0
"""Events of one broker, type and source are looked at so often: of thousands a second one is paid for."""

MAX_LOOKED: Final = 1024
"""Types and sources of which is known when they were looked at last; beyond it all are looked at anew."""

REMEMBERED: Final = 200
"""Attempts in the store that a broker's foresight begins with: more than decay leaves anything of."""

WOKEN: Final = "woken for an event that will probably follow"

_log = log.get("activator.broker.prewarmer")


class Prewarmer:
    """Hears of every accepted event (`Ingress.subscribe`) and of every answer (`Dispatcher`)."""

    def __init__(
        self,
        triggers: TriggerSource,
        guessing: Callable[[], Mapping[str, int]],
        store: EventStore,
        clock: Clock,
        wake: Callable[[str], bool],
    ) -> None:
        """`guessing` tells the budgets of the brokers that want this; `wake` wakes what is asleep at an address, and
        returns whether anything was."""
        self._triggers = triggers
        self._guessing = guessing
        self._store = store
        self._wake = wake
        self._clock = clock
        self._foresight = Foresight()
        self._guesses = Guesses(self._wake_for, self._ended)
        self._counter = Counter("eventmesh_prewarm_guesses_total")
        self._budgets: Mapping[str, int] = {}
        self._known: dict[str, Subscription] = {}
        """Triggers of brokers with a budget, by UID."""
        self._of_broker: dict[str, list[Subscription]] = {}
        self._looked: dict[int, float] = {}
        """When, by the hash of broker, type and source, which may be long; two of the same cost one a look."""
        self._planned = asyncio.Event()
        self._tasks = TaskGroup("prewarmer")

    def start(self) -> None:
        """Begin; follows Brokers and Triggers as they come and go."""
        self._triggers.subscribe(self._triggers_changed)
        self._triggers_changed()
        self._tasks.spawn("wake", self._run())

    async def stop(self) -> None:
        """Wake nobody any more."""
        await self._tasks.stop()

    def statistics(self) -> Statistics:
        """Return what became of guesses so far."""
        return Statistics(counters=list(self._counter.rows()))

    def accepted(self, stored: StoredEvent) -> None:
        """Take note of an accepted event: it makes guesses come true, and leads to others."""
        if stored.broker not in self._budgets:
            return
        self._guesses.arrived(stored.broker, stored.event)
        now = self._clock.monotonic()
        if self._looked_lately(stored, now):
            return
        foreseen = self._foresight.forecast(stored.broker, stored.event, self._of_broker)
        self._guesses.plan(foreseen, self._known, stored.sequence, now)
        self._guesses.due(self._budgets, now)
        self._planned.set()

    def answered(self, subscription: Subscription, cause: StoredEvent, reply: StoredEvent | None) -> None:
        """Take note that a subscriber took an event, and what it replied."""
        if subscription.broker in self._budgets:
            after_s = 0.0 if reply is None else reply.accepted_at - cause.accepted_at
            self._foresight.learn(subscription.uid, cause.event, reply.event if reply else None, after_s)

    def _looked_lately(self, stored: StoredEvent, now: float) -> bool:
        name = hash((stored.broker, stored.event.type, stored.event.source))
        if now - self._looked.get(name, -LOOK_AGAIN_S) < LOOK_AGAIN_S:
            return True
        if len(self._looked) >= MAX_LOOKED:
            self._looked.clear()
        self._looked[name] = now
        return False

    def _triggers_changed(self) -> None:
        before, self._budgets = self._budgets, self._guessing()
        all_of_them = self._triggers.subscriptions()
        self._known = {uid: known for uid, known in all_of_them.items() if known.broker in self._budgets}
        self._guesses.follow(self._known)
        self._of_broker = {}
        for known in self._known.values():
            self._of_broker.setdefault(known.broker, []).append(known)
        names = {(known.namespace, known.name) for known in all_of_them.values()}
        self._counter.forget(lambda labels: (dict(labels)["namespace"], dict(labels)["trigger"]) not in names)
        for broker in self._budgets.keys() - before.keys():
            self._tasks.spawn(f"remember {broker}", self._remember(broker))

    async def _remember(self, broker: str) -> None:
        """Learn from what the store knows: a restart, or an annotation set today, does not begin with nothing."""
        try:
            newest = await self._store.history.position()
            after = max(0, newest.entry - REMEMBERED)
            for row in await self._store.history.attempts(Query(broker, after=after, limit=REMEMBERED)):
                made, subscription = row.attempt, self._known.get(row.attempt.trigger)
                if made.outcome is Outcome.DELIVERED and subscription is not None:
                    reply = await self._store.history.event(made.reply) if made.reply else None
                    self.answered(subscription, row.stored, reply)
        except StoreError as error:
            _log.warning("past replies are not known", broker=broker, reason=error)

    def _wake_for(self, subscription: Subscription, cause: int) -> bool:
        found = self._wake(subscription.subscriber_uri)
        if found:
            self._tasks.spawn("note", self._note(subscription, cause))
        return found

    async def _note(self, subscription: Subscription, cause: int) -> None:
        """Have the timeline of the event that was the reason tell of it."""
        name, now = f"{subscription.namespace}/{subscription.name}", self._clock.now().timestamp()
        note = Attempt(subscription.uid, name, cause, 0, False, now, 0.0, 0, reason=WOKEN)
        try:
            await self._store.settle((), (note,))
        except StoreError as error:
            _log.warning("timeline", trigger=name, reason=error)

    def _ended(self, subscription: Subscription, ending: Ending) -> None:
        labels = (("namespace", subscription.namespace), ("trigger", subscription.name), ("outcome", ending.value))
        self._counter.of(*labels).value += 1
        _log.debug("guess", trigger=f"{subscription.namespace}/{subscription.name}", outcome=ending.value)

    async def _run(self) -> None:
        while True:
            at = self._guesses.next_at()
            timeout = None if at is None else max(0.0, at - self._clock.monotonic())
            if not await is_set_within(self._planned, timeout):
                self._guesses.due(self._budgets, self._clock.monotonic())
            self._planned.clear()
