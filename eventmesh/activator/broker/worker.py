"""One trigger at work: reads its events from the store, keeps its delivery table supplied, records the ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from eventmesh.activator.broker.delivery import Again, Answer, DeliveryTable, Purpose, Send, Settled
from eventmesh.activator.broker.store.api import (
    Attempt,
    DamagedEvent,
    EventStore,
    Failure,
    Outcome,
    Settlement,
    StoredEvent,
    StoreError,
)
from eventmesh.activator.broker.triggers import Subscription
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.tasks import TaskGroup

STORE_RETRY_S = 1.0
"""Wait before the store is tried again after it failed."""

SETTLE_INTERVAL_S = 0.05
"""Ends gather this long before they are recorded: a crash repeats at most what ended meanwhile."""

READ_BATCH = 128
"""Events read at once."""

MAX_ATTEMPTS_RECORDED = 100
"""Attempts of one event that its timeline shows, beside the last: a policy may ask for two thousand million."""

Deliver = Callable[[Subscription, Send, StoredEvent, Answer], Awaitable[Answer]]
"""Sends one event once; the last argument is the failure a dead letter tells of."""

_log = log.get("activator.broker.worker")


class TriggerWorker:
    """The delivery of one trigger's events, from where the store says it was."""

    def __init__(
        self,
        subscription: Subscription,
        store: EventStore,
        deliver: Deliver,
        clock: Clock,
        tasks: TaskGroup,
        count: Callable[[Subscription, Outcome], None],
    ) -> None:
        self.subscription = subscription
        self.table = DeliveryTable(subscription.policy)
        self._key = f"{subscription.namespace}/{subscription.name}"
        self._store = store
        self._deliver = deliver
        self._clock = clock
        self._tasks = tasks
        self._count = count
        self._loaded: dict[int, StoredEvent] = {}
        self._position = 0
        """Everything up to here has been read from the store."""
        self._ahead: frozenset[int] = frozenset()
        self._more = True
        """Whether the store may hold events beyond the position."""
        self._ends: list[Settlement] = []
        self._attempts: list[Attempt] = []
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to deliver."""
        self._own("deliver", self._run())
        self._own("settle", self._record_ends())

    def cancel(self) -> None:
        """End at once; what is in flight is delivered again by whoever serves the trigger next."""
        for task in list(self._running):
            task.cancel()

    def update(self, subscription: Subscription) -> None:
        """Go on with a changed trigger; events already read keep the filter they were read with."""
        self.subscription = subscription
        self.table.policy = subscription.policy
        self.wake()

    def wake(self) -> None:
        """Look into the store again: an event was accepted."""
        self._more = True
        self._changed.set()

    def _own(self, name: str, coroutine: Coroutine[object, object, None]) -> None:
        task = self._tasks.spawn(f"{name} {self._key}", coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self) -> None:
        await self._open()
        while True:
            await self._load()
            now = self._clock.monotonic()
            for send in self.table.next_sends(now):
                self._own("send", self._send(send))
            if self._more and self.table.room > 0:
                continue
            await self._wait(self.table.wake_at())

    async def _wait(self, until: float | None) -> None:
        timeout = None if until is None else max(0.0, until - self._clock.monotonic())
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except TimeoutError:
            return
        self._changed.clear()

    async def _open(self) -> None:
        while True:
            try:
                progress = await self._store.open_trigger(self.subscription.uid, self.subscription.broker)
            except StoreError as error:
                await self._store_failed(error)
                continue
            self._position, self._ahead = progress.cursor, progress.ahead
            _log.info("delivering", trigger=self._key, after=progress.cursor)
            return

    async def _load(self) -> None:
        while self._more and self.table.room > 0:
            self._more = False
            limit = min(READ_BATCH, self.table.room)
            try:
                events = await self._store.read(self.subscription.broker, self._position, limit)
            except DamagedEvent as error:
                self._more = True
                self._pass_over(error)
                continue
            except StoreError as error:
                self._more = True
                await self._store_failed(error)
                return
            for stored in events:
                self._take(stored)
            self._more = self._more or len(events) == limit

    def _pass_over(self, damaged: DamagedEvent) -> None:
        for stored in damaged.before:
            self._take(stored)
        # It can never be delivered, and must not hold up those behind it.
        self._position = damaged.sequence
        if damaged.sequence not in self._ahead:
            self._settle(damaged.sequence, Outcome.KEPT, str(damaged))

    def _take(self, stored: StoredEvent) -> None:
        self._position = stored.sequence
        if stored.sequence in self._ahead:
            return
        if self.subscription.passes(stored.event):
            self._loaded[stored.sequence] = stored
            self.table.offer(stored.sequence)
        else:
            self._settle(stored.sequence, Outcome.FILTERED)

    async def _send(self, send: Send) -> None:
        stored = self._loaded[send.sequence]
        last = self.table.last_failure(send.sequence) or Answer(0)
        sent_at, began = self._clock.now().timestamp(), self._clock.monotonic()
        try:
            answer = await self._deliver(self.subscription, send, stored, last)
        except Exception as error:
            # One event whose delivery breaks in an unforeseen way must not stop the trigger: it counts as a failure.
            _log.error("delivery failed", trigger=self._key, sequence=send.sequence, exc_info=error)
            answer = Answer(0, "internal")
        now = self._clock.monotonic()
        step = self.table.answered(send, answer, now)
        self._record(send, answer, step, sent_at, now - began)
        if isinstance(step, Settled):
            del self._loaded[send.sequence]
            self._settle(send.sequence, step.outcome, step.reason, self._failure(step))
        self._changed.set()

    def _record(self, send: Send, answer: Answer, step: Settled | Again, sent_at: float, took_s: float) -> None:
        end = step if isinstance(step, Settled) else None
        # What found no capacity was never sent.
        if end is None and (answer.error == "no_capacity" or send.attempt > MAX_ATTEMPTS_RECORDED):
            return
        attempt = Attempt(
            self.subscription.uid,
            self._key,
            send.sequence,
            send.attempt,
            send.purpose is Purpose.DEAD_LETTER,
            sent_at,
            took_s,
            answer.status,
            answer.error,
            end.outcome if end else None,
            end.reason if end else "",
            answer.reply,
        )
        self._attempts.append(attempt)
        self._ended.set()

    def _failure(self, step: Settled) -> Failure | None:
        if step.failure is None:
            return None
        data = step.failure.body or step.failure.error.encode()
        return Failure(self.subscription.subscriber_uri, step.failure.status, data, step.attempts)

    def _settle(self, sequence: int, outcome: Outcome, reason: str = "", failure: Failure | None = None) -> None:
        self._ends.append(Settlement(self.subscription.uid, sequence, outcome, reason, self._key, failure))
        self._ended.set()
        self._count(self.subscription, outcome)
        if outcome is Outcome.KEPT:
            _log.warning("event kept as dead letter", trigger=self._key, sequence=sequence, reason=reason)

    async def _record_ends(self) -> None:
        while True:
            await self._ended.wait()
            # Ends gather while the first of them waits: many in one transaction.
            await self._clock.sleep(SETTLE_INTERVAL_S)
            self._ended.clear()
            try:
                await self.flush()
            except StoreError as error:
                self._ended.set()
                await self._store_failed(error)

    async def flush(self) -> None:
        """Record the ends so far; raises StoreError, and then they are still to be recorded."""
        ends, self._ends = self._ends, []
        attempts, self._attempts = self._attempts, []
        if not ends and not attempts:
            return
        try:
            await self._store.settle(ends, attempts)
        except StoreError:
            self._ends = ends + self._ends
            self._attempts = attempts + self._attempts
            raise

    async def _store_failed(self, error: StoreError) -> None:
        _log.error("event store", trigger=self._key, reason=error)
        await self._clock.sleep(STORE_RETRY_S)
