"""The state table of one trigger's deliveries: which event to send now, and what follows from each answer.

No I/O and no clock: `now` comes in, orders come out, so that every rule is tested in virtual time. The
dispatcher does what `next_sends` and `answered` say.

    ready -> in flight -> delivered | retry at t -> ready | dead letter -> in flight (to the sink) -> settled
                       \\-> no capacity: ready again, the trigger sleeps

A trigger whose function is at zero *sleeps*: one event, the scout, is sent and waits in the engine (which
wakes the function); all others wait in the store. Any real answer to the scout wakes the trigger.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from eventmesh.activator.broker.store.api import Outcome
from eventmesh.model.delivery import WAITING_STATUS, DeliveryPolicy, is_delivered, is_retried

MAX_IN_FLIGHT = 64
"""Requests of one trigger at a time: enough to keep a pool of pods busy, few enough that one trigger cannot take all
connections of the process."""

MAX_LOADED = 512
"""Events of one trigger held in memory, waiting ones included; the rest stays in the store."""

SLEEP_RETRY_S = 1.0
"""Wait before another scout when the first one found no room to wait in."""


class Purpose(Enum):
    """What a request is for."""

    DELIVER = "deliver"
    SCOUT = "scout"
    """A delivery that may wait in the engine until the function is awake."""
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class Send:
    """An order: send event `sequence`. `attempt` counts from 1 for each purpose."""

    sequence: int
    attempt: int
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended. `status` 0: no answer came, and `error` says why (`no_capacity`, `timeout`, ...)."""

    status: int
    error: str = ""
    retry_after_s: float | None = None
    body: bytes = b""
    """The beginning of the answer's body: what a dead letter tells of the failure."""
    reply: int = 0
    """Sequence of the event that came back and is stored; 0: none did."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The event is done with."""

    outcome: Outcome
    reason: str = ""
    failure: Answer | None = None
    """For KEPT: how the subscriber, not the dead letter sink, failed last."""
    attempts: int = 0
    """For KEPT: how often the subscriber was tried."""


@dataclass(frozen=True, slots=True)
class Again:
    """The event will be sent again."""

    at: float


@dataclass(slots=True)
class _Delivery:
    failures: int = 0
    purpose: Purpose = Purpose.DELIVER
    last: Answer | None = None
    tried: int = 0
    """Attempts at the subscriber, once there will be no more."""


class DeliveryTable:
    """The deliveries of one trigger that are loaded from the store."""

    def __init__(self, policy: DeliveryPolicy) -> None:
        self.policy = policy
        """May be replaced while events are under way; it holds from the next answer on."""
        self._deliveries: dict[int, _Delivery] = {}
        self._ready: list[int] = []
        # A heap: whatever becomes ready, the oldest event goes first.
        self._waiting: list[tuple[float, int]] = []
        self._in_flight = 0
        self._asleep = False
        self._scouting = False

    def __len__(self) -> int:
        return len(self._deliveries)

    @property
    def room(self) -> int:
        """Return how many more events may be offered."""
        return MAX_LOADED - len(self._deliveries)

    @property
    def asleep(self) -> bool:
        """Return whether the subscriber is at zero."""
        return self._asleep

    def offer(self, sequence: int) -> None:
        """Take in an event that passed the filter."""
        self._deliveries[sequence] = _Delivery()
        heapq.heappush(self._ready, sequence)

    def last_failure(self, sequence: int) -> Answer | None:
        """Return the answer that the event failed with last: what a dead letter is marked with."""
        return self._deliveries[sequence].last

    def next_sends(self, now: float) -> Iterator[Send]:
        """Yield what is to be sent now; each one yielded is in flight from then on."""
        while self._waiting and self._waiting[0][0] <= now:
            heapq.heappush(self._ready, heapq.heappop(self._waiting)[1])
        while self._ready and self._in_flight < MAX_IN_FLIGHT and not (self._asleep and self._scouting):
            sequence = heapq.heappop(self._ready)
            delivery = self._deliveries[sequence]
            self._in_flight += 1
            purpose = delivery.purpose
            if self._asleep and purpose is Purpose.DELIVER:
                self._scouting = True
                purpose = Purpose.SCOUT
            yield Send(sequence, delivery.failures + 1, purpose)

    def wake_at(self) -> float | None:
        """Return when `next_sends` has something to yield although nothing else happened; None: never."""
        return self._waiting[0][0] if self._waiting and self._in_flight < MAX_IN_FLIGHT else None

    def answered(self, send: Send, answer: Answer, now: float) -> Settled | Again:
        """Take in how `send` ended; return what that means for the event."""
        self._in_flight -= 1
        delivery = self._deliveries[send.sequence]
        if send.purpose is Purpose.SCOUT:
            self._scouting = False
        if answer.error == "no_capacity" and send.purpose is not Purpose.DEAD_LETTER:
            return self._no_capacity(send, now)
        if send.purpose is not Purpose.DEAD_LETTER:
            self._asleep = False
        if is_delivered(answer.status):
            delivered = send.purpose is not Purpose.DEAD_LETTER
            return self._settle(send.sequence, Outcome.DELIVERED if delivered else Outcome.DEAD_LETTERED)
        delivery.failures += 1
        if self._worth_another(delivery, answer):
            wait = self.policy.wait_s(delivery.failures, self._retry_after(answer))
            return self._later(send.sequence, now + wait)
        return self._give_up(send, answer)

    def _no_capacity(self, send: Send, now: float) -> Again:
        # Not an attempt: nothing was sent.
        self._asleep = True
        if send.purpose is Purpose.SCOUT:
            return self._later(send.sequence, now + SLEEP_RETRY_S)
        heapq.heappush(self._ready, send.sequence)
        return Again(now)

    def _worth_another(self, delivery: _Delivery, answer: Answer) -> bool:
        return delivery.failures <= self.policy.retry and (answer.status == 0 or is_retried(answer.status))

    def _retry_after(self, answer: Answer) -> float | None:
        return answer.retry_after_s if answer.status in WAITING_STATUS else None

    def _give_up(self, send: Send, answer: Answer) -> Settled | Again:
        reason = f"answered {answer.status}" if answer.status else f"no answer: {answer.error}"
        delivery = self._deliveries[send.sequence]
        if send.purpose is Purpose.DEAD_LETTER:
            first = delivery.last
            cause = f"answered {first.status}" if first and first.status else "no answer"
            return self._keep(send.sequence, f"subscriber: {cause}; dead letter sink: {reason}")
        delivery.last, delivery.tried = answer, delivery.failures
        if not self.policy.dead_letter_uri:
            return self._keep(send.sequence, f"subscriber: {reason}")
        delivery.purpose, delivery.failures = Purpose.DEAD_LETTER, 0
        heapq.heappush(self._ready, send.sequence)
        return Again(0.0)

    def _later(self, sequence: int, at: float) -> Again:
        heapq.heappush(self._waiting, (at, sequence))
        return Again(at)

    def _keep(self, sequence: int, reason: str) -> Settled:
        delivery = self._deliveries.pop(sequence)
        return Settled(Outcome.KEPT, reason, delivery.last, delivery.tried)

    def _settle(self, sequence: int, outcome: Outcome) -> Settled:
        del self._deliveries[sequence]
        return Settled(outcome)
