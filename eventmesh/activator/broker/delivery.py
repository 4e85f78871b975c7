"""The state table of one trigger's deliveries: which event to send now, and what follows from each answer.

No I/O and no clock: `now` comes in, orders come out, so that every rule is tested in virtual time. The
dispatcher does what `next_sends` and `answered` say.

    ready -> in flight -> delivered | retry at t -> ready | dead letter -> in flight (to the sink) -> settled
                       \\-> no capacity: ready again, the trigger sleeps

A trigger whose function is at zero *sleeps*: one event, the scout, is sent and waits in the engine (which
wakes the function); all others wait in the store. Any real answer to the scout wakes the trigger.

Events of one *group* are sent one after the other, in the order in which they were offered: the next one when the end
of the one before is on disk. Any sooner, and a crash in between would repeat the older one behind the newer.
Groups do not wait for each other.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from eventmesh.activator.broker.store.values import Outcome, StoredEvent
from eventmesh.base.frozen import frozen
from eventmesh.model.delivery import WAITING_STATUS, DeliveryControls, DeliveryPolicy, is_delivered, is_retried

MAX_IN_FLIGHT = 64
"""Requests of one trigger at a time: enough to keep a pool of pods busy, few enough that one trigger cannot take all
connections of the process."""

MAX_LOADED = 512
"""Events of one trigger held in memory, waiting ones included; the rest stays in the store."""

MAX_BLOCKED = 50_000
"""Events of one trigger that wait for another of their group: so far do other groups get ahead of one that is stuck.
Their payloads are left in the store; what is held of each takes some 300 bytes."""

PACE_SLACK_S = 0.1
"""What a rate may be exceeded by after a pause: so much longer than a loop's hiccups that these cost no throughput."""

SLEEP_RETRY_S = 1.0
"""Wait before another scout when the first one found no room to wait in."""

NO_IDENTITY_RETRY_S = 1.0
"""Wait before an event is sent whose sender had no account, or no token of it, to send under."""

NO_CAPACITY, NO_IDENTITY = "no_capacity", "no_identity"
"""Errors of an `Answer` after which nothing has been sent: they are no attempts."""


Key = tuple[int, int]
"""Sequence and entry: an event may be delivered again while its first delivery is still under way."""


class Purpose(Enum):
    """What a request is for."""

    DELIVER = "deliver"
    SCOUT = "scout"
    """A delivery that may wait in the engine until the function is awake."""
    DEAD_LETTER = "dead_letter"


@frozen
class Send:
    """An order: send event `sequence`. `attempt` counts from 1 for each purpose."""

    sequence: int
    attempt: int
    purpose: Purpose
    entry: int = 0
    """Which entry of the trigger's queue it is; 0: the event as it was accepted."""

    @property
    def key(self) -> Key:
        """Return what it goes by in the table."""
        return self.sequence, self.entry


@frozen
class Answer:
    """How a request ended. `status` 0: no answer came, and `error` says why (`no_capacity`, `timeout`, ...)."""

    status: int
    error: str = ""
    retry_after_s: float | None = None
    body: bytes = b""
    """The beginning of the answer's body: what a dead letter tells of the failure."""
    reply: StoredEvent | None = None
    """The event that came back, as it is stored; None: none did."""


@frozen
class Settled:
    """The event is done with."""

    outcome: Outcome
    reason: str = ""
    failure: Answer | None = None
    """For KEPT: how the subscriber, not the dead letter sink, failed last."""
    attempts: int = 0
    """For KEPT: how often the subscriber was tried."""


_DELIVERED, _DEAD_LETTERED = Settled(Outcome.DELIVERED), Settled(Outcome.DEAD_LETTERED)


@frozen
class Again:
    """The event will be sent again."""

    at: float


@dataclass(slots=True)
class _Delivery:
    group: str
    failures: int = 0
    purpose: Purpose = Purpose.DELIVER
    last: Answer | None = None
    tried: int = 0
    """Attempts at the subscriber, once there will be no more."""


class DeliveryTable:
    """The deliveries of one trigger that are loaded from the store."""

    def __init__(self, policy: DeliveryPolicy, controls: DeliveryControls | None = None) -> None:
        self.policy = policy
        """May be replaced while events are under way; it holds from the next answer on."""
        self.controls = controls or DeliveryControls()
        """May be replaced as well; it holds from the next order on."""
        self._deliveries: dict[Key, _Delivery] = {}
        self._ready: list[Key] = []
        # A heap: whatever becomes ready, the oldest event goes first.
        self._waiting: list[tuple[float, Key]] = []
        self._behind: dict[str, deque[Key]] = {}
        # Who waits for the one of its group that is under way.
        self._blocked = 0
        self._queued = 0
        # Entries of the queue among the others.
        self._unrecorded: dict[Key, str] = {}
        # Settled, and their groups, which wait until that is on disk.
        self._in_flight = 0
        self._asleep = False
        self._scouting = False
        self._next_at = 0.0
        """When the rate allows another request."""

    def __len__(self) -> int:
        return len(self._deliveries)

    @property
    def room(self) -> int:
        """Return how many more events may be offered."""
        return min(MAX_LOADED - len(self._deliveries) + self._blocked, MAX_BLOCKED - self._blocked)

    @property
    def queued(self) -> int:
        """Return how many entries of the queue are here, without those that wait for another of their group."""
        return self._queued

    @property
    def asleep(self) -> bool:
        """Return whether the subscriber is at zero."""
        return self._asleep

    @property
    def unserved(self) -> int:
        """Return how many more events would be sent at once if the subscriber had room for them.

        Not those that a pause or a rate holds back: a larger subscriber would not get them sooner.
        """
        if self.controls.paused or self.controls.rate_per_s or not self._asleep:
            return 0
        return min(len(self._ready), MAX_IN_FLIGHT - self._in_flight)

    def offer(self, sequence: int, entry: int = 0, group: str = "") -> None:
        """Take in an event that passed the filter; those of one `group` must come in their order. Empty: of none."""
        key = (sequence, entry)
        self._deliveries[key] = _Delivery(group)
        if group:
            behind = self._behind.get(group)
            if behind is not None:
                behind.append(key)
                self._blocked += 1
                return
            self._behind[group] = deque()
        self._unblock(key)

    @property
    def waits_for_record(self) -> bool:
        """Return whether an event could be sent if only the end of the one before it were on disk."""
        return any(self._behind[group] for group in self._unrecorded.values())

    def recorded(self, sequence: int, entry: int = 0) -> None:
        """Take in that the end of a settled event is on disk: the next of its group may go."""
        group = self._unrecorded.pop((sequence, entry), "")
        if not group:
            return
        behind = self._behind[group]
        if behind:
            self._blocked -= 1
            self._unblock(behind.popleft())
        else:
            del self._behind[group]

    def _unblock(self, key: Key) -> None:
        self._queued += bool(key[1])
        heapq.heappush(self._ready, key)

    def last_failure(self, sequence: int, entry: int = 0) -> Answer | None:
        """Return the answer that the event failed with last: what a dead letter is marked with."""
        return self._deliveries[sequence, entry].last

    def next_sends(self, now: float) -> Iterator[Send]:
        """Yield what is to be sent now; each one yielded is in flight from then on."""
        while self._waiting and self._waiting[0][0] <= now:
            heapq.heappush(self._ready, heapq.heappop(self._waiting)[1])
        while self._ready and self._may_send(now):
            key = heapq.heappop(self._ready)
            delivery = self._deliveries[key]
            self._in_flight += 1
            if self.controls.rate_per_s:
                self._next_at = max(self._next_at, now - PACE_SLACK_S) + 1 / self.controls.rate_per_s
            purpose = delivery.purpose
            if self._asleep and purpose is Purpose.DELIVER:
                self._scouting = True
                purpose = Purpose.SCOUT
            yield Send(key[0], delivery.failures + 1, purpose, key[1])

    def _may_send(self, now: float) -> bool:
        if self.controls.paused or self._in_flight >= MAX_IN_FLIGHT or (self._asleep and self._scouting):
            return False
        return not self.controls.rate_per_s or self._next_at <= now

    def wake_at(self) -> float | None:
        """Return when `next_sends` has something to yield although nothing else happened; None: never."""
        if self.controls.paused or self._in_flight >= MAX_IN_FLIGHT:
            return None
        pace = self._next_at if self.controls.rate_per_s else 0.0
        if self._ready and pace and not (self._asleep and self._scouting):
            return pace
        return max(pace, self._waiting[0][0]) if self._waiting else None

    def answered(self, send: Send, answer: Answer, now: float) -> Settled | Again:
        """Take in how `send` ended; return what that means for the event."""
        self._in_flight -= 1
        delivery = self._deliveries[send.key]
        if send.purpose is Purpose.SCOUT:
            self._scouting = False
        if answer.error == NO_IDENTITY:
            return self._later(send.key, now + NO_IDENTITY_RETRY_S)
        if answer.error == NO_CAPACITY and send.purpose is not Purpose.DEAD_LETTER:
            return self._no_capacity(send, now)
        if send.purpose is not Purpose.DEAD_LETTER:
            self._asleep = False
        if is_delivered(answer.status):
            return self._settle(send.key, _DEAD_LETTERED if send.purpose is Purpose.DEAD_LETTER else _DELIVERED)
        delivery.failures += 1
        if self._worth_another(delivery, answer):
            wait = self.policy.wait_s(delivery.failures, self._retry_after(answer))
            return self._later(send.key, now + wait)
        return self._give_up(send, answer)

    def withdrawn(self, send: Send, outcome: Outcome, reason: str = "") -> Settled:
        """Take in that `send` was not sent after all, and never will be."""
        self._in_flight -= 1
        if send.purpose is Purpose.SCOUT:
            self._scouting = False
        return self._settle(send.key, Settled(outcome, reason))

    def _no_capacity(self, send: Send, now: float) -> Again:
        # Not an attempt: nothing was sent.
        self._asleep = True
        if send.purpose is Purpose.SCOUT:
            return self._later(send.key, now + SLEEP_RETRY_S)
        heapq.heappush(self._ready, send.key)
        return Again(now)

    def _worth_another(self, delivery: _Delivery, answer: Answer) -> bool:
        return delivery.failures <= self.policy.retry and (answer.status == 0 or is_retried(answer.status))

    def _retry_after(self, answer: Answer) -> float | None:
        return answer.retry_after_s if answer.status in WAITING_STATUS else None

    def _give_up(self, send: Send, answer: Answer) -> Settled | Again:
        reason = f"answered {answer.status}" if answer.status else f"no answer: {answer.error}"
        delivery = self._deliveries[send.key]
        if send.purpose is Purpose.DEAD_LETTER:
            first = delivery.last
            cause = f"answered {first.status}" if first and first.status else "no answer"
            return self._keep(send.key, f"subscriber: {cause}; dead letter sink: {reason}")
        delivery.last, delivery.tried = answer, delivery.failures
        if not self.policy.dead_letter_uri:
            return self._keep(send.key, f"subscriber: {reason}")
        delivery.purpose, delivery.failures = Purpose.DEAD_LETTER, 0
        heapq.heappush(self._ready, send.key)
        return Again(0.0)

    def _later(self, key: Key, at: float) -> Again:
        heapq.heappush(self._waiting, (at, key))
        return Again(at)

    def _keep(self, key: Key, reason: str) -> Settled:
        delivery = self._deliveries[key]
        return self._settle(key, Settled(Outcome.KEPT, reason, delivery.last, delivery.tried))

    def _settle(self, key: Key, end: Settled) -> Settled:
        group = self._deliveries.pop(key).group
        self._queued -= bool(key[1])
        if group:
            self._unrecorded[key] = group
        return end
