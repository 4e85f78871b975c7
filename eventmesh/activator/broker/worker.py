"""One trigger at work: reads its events from the store, keeps its delivery table supplied, records the ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from hashlib import blake2b

from eventmesh.activator.broker.backlog import Backlog, Item
from eventmesh.activator.broker.delivery import (
    MAX_LOADED,
    NO_CAPACITY,
    NO_IDENTITY,
    Again,
    Answer,
    DeliveryTable,
    Key,
    Purpose,
    Send,
    Settled,
)
from eventmesh.activator.broker.measures import Measures
from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.errors import CorruptStore, StoreError
from eventmesh.activator.broker.store.values import Attempt, Failure, Outcome, Settlement, StoredEvent
from eventmesh.activator.broker.timing import due_at, is_expired
from eventmesh.activator.broker.triggers import Subscription
from eventmesh.base import log
from eventmesh.base.clock import Clock, rfc3339
from eventmesh.base.tasks import TaskGroup, is_set_within

STORE_RETRY_S = 1.0
"""Wait before the store is tried again after it failed."""

DAMAGED_RETRY_S = 60.0
"""Wait after damage was found: it goes away with a repair and a restart, and until then each trigger says so."""

SETTLE_INTERVAL_S = 0.05
"""Ends gather this long before they are recorded: a crash repeats at most what ended meanwhile."""

SETTLE_TOGETHER = 64
"""So many ends are recorded without waiting for more: a transaction costs a sync, however many are in it, and a fast
subscriber must not be held to so many each interval."""

SENDS_IN_TURN = 32
"""So many requests follow each other before others get their turn: one that is answered at once does not wait."""

MAX_ATTEMPTS_RECORDED = 100
"""Attempts of one event that its timeline shows, beside the last: a policy may ask for two thousand million."""

MAX_LOADED_BYTES = 64 << 20
"""Data of one trigger's events that is held in memory beside what is under way: sixty-four events of a mebibyte, or all
that are loaded when they are small."""

MAX_GROUP_NAME = 64
"""Longest name under which a group is remembered."""

EXPIRED = "its expirytime had passed"

Deliver = Callable[[Subscription, Send, StoredEvent, Answer], Awaitable[Answer]]
"""Sends one event once; the last argument is the failure a dead letter tells of."""

_UNTRIED = Answer(0)

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
        measures: Measures,
    ) -> None:
        self.subscription = subscription
        self.table = DeliveryTable(subscription.policy, subscription.controls)
        self._key = f"{subscription.namespace}/{subscription.name}"
        self._store = store
        self._deliver = deliver
        self._clock = clock
        self._tasks = tasks
        self._measures = measures.of(subscription)
        self._backlog = Backlog(store, clock, self.table)
        self._loaded: dict[Key, Item] = {}
        """Of what is in the table, as much as is allowed; the rest is read again when its turn comes."""
        self._loaded_bytes = 0
        self._ends: list[Settlement] = []
        self._passed: tuple[int, int, int] | None = None
        """First and last of the events, one behind the other, that the filter did not let pass, and how many."""
        self._attempts: list[Attempt] = []
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._gathered = asyncio.Event()
        """As many have ended as are recorded together."""
        self._recording = asyncio.Lock()
        """Held while ends are on their way into the store."""
        self._running: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to deliver."""
        self._own("deliver", self._run(), self._running)
        self._own("settle", self._record_ends(), self._settling)

    async def cancel(self) -> None:
        """Send nothing more from now on; what is in flight is delivered again by whoever serves the trigger next."""
        await _cancelled(self._running)
        # Ends that are on their way into the store get there, or the next one would deliver those events again too.
        async with self._recording:
            await _cancelled(self._settling)

    def update(self, subscription: Subscription) -> None:
        """Go on with a changed trigger; events already read keep the filter they were read with."""
        self.subscription = subscription
        self.table.policy, self.table.controls = subscription.policy, subscription.controls
        self.wake()

    def offer(self, stored: StoredEvent) -> None:
        """Take note of an event of the broker; each is offered, in order, or `wake` is called instead.

        One that the filter does not let pass costs no more than the filter: it is not read, and wakes nobody.
        """
        if self.subscription.passes(stored.event):
            self.wake()
        elif self._backlog.passed(stored.sequence):
            self._pass(stored.sequence)

    def wake(self) -> None:
        """Look into the store again: an event was accepted."""
        self._backlog.look()
        self._changed.set()

    def wake_for_queue(self) -> None:
        """Look into the queue again: something was put there."""
        self._backlog.look_into_queue()
        self._changed.set()

    def _own(self, name: str, coroutine: Coroutine[object, object, None], among: set[asyncio.Task[None]]) -> None:
        task = self._tasks.spawn(f"{name} {self._key}", coroutine)
        among.add(task)
        task.add_done_callback(among.discard)

    async def _run(self) -> None:
        await self._open()
        while True:
            await self._load()
            now = self._clock.monotonic()
            for send in self.table.next_sends(now):
                self._own("send", self._send_on(send), self._running)
            if self._backlog.more:
                continue
            times = (self.table.wake_at(), self._backlog.wake_at())
            await self._wait(min((at for at in times if at is not None), default=None))

    async def _wait(self, until: float | None) -> None:
        timeout = None if until is None else max(0.0, until - self._clock.monotonic())
        if await is_set_within(self._changed, timeout):
            self._changed.clear()

    async def _open(self) -> None:
        subscription = self.subscription
        while True:
            try:
                after = await self._backlog.open(subscription.uid, subscription.broker, subscription.controls.start_at)
            except StoreError as error:
                await self._store_failed(error)
                continue
            _log.info("delivering", trigger=self._key, after=after)
            return

    async def _load(self) -> None:
        while self._backlog.more:
            try:
                items = await self._backlog.read()
            except StoreError as error:
                await self._store_failed(error)
                return
            for item in items:
                self._take(item)

    def _take(self, item: Item) -> None:
        stored = item.stored
        if stored is not None and not item.entry and not self.subscription.passes(stored.event):
            self._pass(item.sequence)
            self._ended.set()
            return
        if not item.entry:
            # It lies between what did not pass before it and what will not behind it.
            self._close_passed()
        if stored is None:
            self._settle(item.sequence, item.entry, Settled(Outcome.KEPT, item.problem))
        elif not item.asked_for and is_expired(stored.event, self._clock):
            self._end_unsent(item.sequence, item.entry, Settled(Outcome.EXPIRED, EXPIRED))
        elif not item.entry and (due := due_at(stored.event, self._clock)) is not None:
            self._end_unsent(
                item.sequence,
                0,
                Settled(Outcome.DEFERRED, f"delivered after {rfc3339(datetime.fromtimestamp(due, UTC))}"),
                due,
            )
        else:
            self.table.offer(item.sequence, item.entry, self._group(stored))
            if len(self._loaded) < MAX_LOADED and self._loaded_bytes + stored.size <= MAX_LOADED_BYTES:
                self._loaded[item.sequence, item.entry] = item
                self._loaded_bytes += stored.size

    def _group(self, stored: StoredEvent) -> str:
        order_by = self.subscription.controls.order_by
        value = stored.event.text(order_by) if order_by else ""
        # Tens of thousands may be remembered: a long one by its hash.
        return value if len(value) <= MAX_GROUP_NAME else blake2b(value.encode(), digest_size=16).hexdigest()

    async def _send_on(self, send: Send) -> None:
        """Send an event, and then what may be sent next, without waiting for more to be read from the store."""
        for left in reversed(range(SENDS_IN_TURN)):
            was_asleep = self.table.asleep
            await self._send(send)
            following = next(self.table.next_sends(self._clock.monotonic()), None) if left else None
            if following is None:
                break
            send = following
            # Who has woken takes more than one at a time.
            if was_asleep or self._backlog.more:
                self._changed.set()
        self._changed.set()

    async def _send(self, send: Send) -> None:
        item = self._loaded.get(send.key) or await self._read_again(send)
        if item is None or item.stored is None:
            return
        stored, may_expire = item.stored, send.purpose is not Purpose.DEAD_LETTER and not item.asked_for
        if may_expire and is_expired(stored.event, self._clock):
            self._withdraw(send, Outcome.EXPIRED, EXPIRED)
            return
        last = self.table.last_failure(send.sequence, send.entry) or _UNTRIED
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
        if isinstance(step, Settled) and step.outcome is Outcome.DELIVERED and not send.entry:
            self._measures.delivered(sent_at + now - began - stored.accepted_at)
        if isinstance(step, Settled):
            self._settle(send.sequence, send.entry, step)

    async def _read_again(self, send: Send) -> Item | None:
        """Return an event that was let go while it waited for its turn; None: it has been settled instead."""
        while True:
            try:
                item = await self._backlog.again(send.sequence, send.entry)
            except StoreError as error:
                await self._store_failed(error)
                continue
            if item.stored is None:
                self._withdraw(send, Outcome.KEPT, item.problem)
                return None
            return item

    def _withdraw(self, send: Send, outcome: Outcome, reason: str) -> None:
        self._end_unsent(send.sequence, send.entry, self.table.withdrawn(send, outcome, reason))

    def _end_unsent(self, sequence: int, entry: int, end: Settled, due: float = 0.0) -> None:
        """Settle an event of which nothing was sent, and say so in its timeline."""
        now = self._clock.now().timestamp()
        note = Attempt(self.subscription.uid, self._key, sequence, 0, False, now, 0.0, 0, "", end.outcome, end.reason)
        self._attempts.append(note)
        self._settle(sequence, entry, end, due)

    def _record(self, send: Send, answer: Answer, step: Settled | Again, sent_at: float, took_s: float) -> None:
        end = step if isinstance(step, Settled) else None
        if end is None and answer.error in (NO_CAPACITY, NO_IDENTITY):
            return
        self._measures.attempted(answer.status, took_s, retry=send.attempt > 1)
        if end is None and send.attempt > MAX_ATTEMPTS_RECORDED:
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
            answer.reply.sequence if answer.reply else 0,
        )
        self._attempts.append(attempt)
        self._ended.set()

    def _failure(self, last: Answer, attempts: int) -> Failure:
        return Failure(self.subscription.subscriber_uri, last.status, last.body or last.error.encode(), attempts)

    def _pass(self, sequence: int) -> None:
        first, _, count = self._passed or (sequence, sequence, 0)
        self._passed = (first, sequence, count + 1)

    def record_passed(self) -> None:
        """Have what the filter did not let pass recorded: the place of a trigger that nothing matches moves too."""
        if self._passed:
            self._ended.set()

    def _close_passed(self) -> None:
        if self._passed:
            first, last, count = self._passed
            self._passed = None
            self._measures.ended(Outcome.FILTERED, count)
            self._ends.append(Settlement(self.subscription.uid, last, Outcome.FILTERED, since=first))

    def _settle(self, sequence: int, entry: int, end: Settled, due: float = 0.0) -> None:
        loaded = self._loaded.pop((sequence, entry), None)
        if loaded is not None and loaded.stored is not None:
            self._loaded_bytes -= loaded.stored.size
        failure = None if end.failure is None else self._failure(end.failure, end.attempts)
        self._ends.append(
            Settlement(
                self.subscription.uid, sequence, end.outcome, end.reason, self._key, failure, entry=entry, due=due
            )
        )
        self._ended.set()
        if len(self._ends) >= SETTLE_TOGETHER:
            self._gathered.set()
        self._measures.ended(end.outcome)
        if end.outcome is Outcome.KEPT:
            _log.warning("event kept as dead letter", trigger=self._key, sequence=sequence, reason=end.reason)

    async def _record_ends(self) -> None:
        while True:
            await self._ended.wait()
            # Ends gather while the first of them waits: many in one transaction.
            if not (self.table.waits_for_record or self._backlog.waits_for_record):
                await is_set_within(self._gathered, SETTLE_INTERVAL_S)
            self._ended.clear()
            self._gathered.clear()
            try:
                await self.flush()
            except StoreError as error:
                self._ended.set()
                await self._store_failed(error)

    async def flush(self) -> None:
        """Record the ends so far; raises StoreError, and then they are still to be recorded."""
        async with self._recording:
            await self._flush()

    async def _flush(self) -> None:
        self._close_passed()
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
        for end in ends:
            self.table.recorded(end.sequence, end.entry)
            if end.entry:
                self._backlog.recorded(end.entry)
        self._changed.set()
        if any(end.entry or end.outcome is Outcome.DEFERRED for end in ends):
            self.wake_for_queue()

    async def _store_failed(self, error: StoreError) -> None:
        _log.error("event store", trigger=self._key, reason=error)
        await self._clock.sleep(DAMAGED_RETRY_S if isinstance(error, CorruptStore) else STORE_RETRY_S)


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    running = list(tasks)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
