"""What a store is given and gives back: events, how their deliveries went and ended, how far triggers are."""

from __future__ import annotations

from dataclasses import field
from enum import Enum

from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.event import Event


@frozen
class NewEvent:
    """An event on its way in."""

    broker: str
    """`namespace/name` of the broker that accepts it."""
    event: Event
    carried: tuple[tuple[str, str], ...] = ()
    """Headers that travel with the event from ingress to subscriber (`x-request-id`, `knative-*`, ...)."""
    unique_for_s: float = 0.0
    """For so long an event of the same broker, source and id is the same event; 0: each one is new."""


@frozen
class StoredEvent:
    """An event that is on disk."""

    sequence: int
    """Position in the store: no gaps, never used twice, rising in the order of acceptance."""
    accepted_at: float
    """Seconds since the epoch."""
    broker: str
    event: Event
    carried: tuple[tuple[str, str], ...] = ()
    duplicate: bool = False
    """It had been accepted before, under this sequence, and was not stored again."""

    @property
    def size(self) -> int:
        """Return how many bytes of data it has."""
        return len(self.event.data or b"")


class Outcome(Enum):
    """How the delivery of an event to a trigger ended."""

    FILTERED = "filtered"
    DELIVERED = "delivered"
    DEAD_LETTERED = "dead_lettered"
    """The dead letter sink has it."""
    KEPT = "kept"
    """It could not be delivered and there was no sink, or the sink refused: it is a dead letter in the store."""
    EXPIRED = "expired"
    """Its `expirytime` had passed before it could be sent."""
    DEFERRED = "deferred"
    """It waits in the queue of the trigger until its time has come."""


@frozen
class Failure:
    """How the last attempt at a subscriber failed: what a dead letter tells."""

    uri: str
    """Who refused it."""
    status: int
    """0: no answer came."""
    data: bytes = b""
    """The beginning of the answer's body, or the name of the error when there was no answer."""
    attempts: int = 0


@frozen
class Settlement:
    """The end of one event for one trigger."""

    trigger: str
    """UID of the Trigger."""
    sequence: int
    outcome: Outcome
    reason: str = ""
    """For KEPT: why, in words."""
    name: str = ""
    """For KEPT: `namespace/name` of the Trigger."""
    failure: Failure | None = None
    """For KEPT: how its subscriber refused it; None when nothing was sent (a damaged event)."""
    entry: int = 0
    """Which entry of the trigger's queue has ended; 0: the event as it was accepted."""
    due: float = 0.0
    """For DEFERRED: when it is to be delivered; seconds since the epoch."""
    since: int = 0
    """For FILTERED: all events of the trigger's broker from this sequence on have ended so; 0: this one alone."""


@frozen
class Attempt:
    """One request that carried an event, as its timeline shows it."""

    trigger: str
    """UID of the Trigger."""
    name: str
    """`namespace/name` of the Trigger."""
    sequence: int
    number: int
    """Counts from 1, for the subscriber and for the dead letter sink each; 0: nothing was sent, `reason` says what
    happened."""
    to_dead_letter_sink: bool
    at: float
    """When it was sent; seconds since the epoch."""
    took_s: float
    status: int
    """0: no answer came, and `error` says why."""
    error: str = ""
    outcome: Outcome | None = None
    """The event's end, when this attempt was the last."""
    reason: str = ""
    """For KEPT: why, in words."""
    reply: int = 0
    """Sequence of the event that came back; 0: none did."""


@frozen
class Retention:
    """How long events stay that nobody waits for any more, so that they can be looked at and sent again."""

    max_age_s: float
    max_bytes: int
    """Of the store's file: beyond it the oldest go before their time."""


KEEP_NOTHING = Retention(0.0, 0)


@frozen
class Progress:
    """How far a trigger is: done with every sequence up to `cursor`, and with those in `ahead` beyond it."""

    cursor: int
    ahead: frozenset[int] = field(default_factory=frozenset)


@frozen
class DeadLetter:
    """An event that stayed in the store because nobody would take it."""

    trigger: str
    sequence: int
    stored: StoredEvent | None
    """None: it is here because it is damaged."""
    reason: str
    name: str = ""
    """`namespace/name` of the Trigger."""
    at: float = 0.0
    """When it was given up; seconds since the epoch."""
    failure: Failure | None = None
