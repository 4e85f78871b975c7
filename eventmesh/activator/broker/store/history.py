"""What was accepted and what became of it, for people who look: the reading side that no delivery waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import Protocol

from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.values import Attempt, DeadLetter, Retention, StoredEvent
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.event import Event

MAX_PAGE = 500
"""Events of one page: what a person reads."""


class Order(Enum):
    """In which direction a page goes."""

    OLDEST_FIRST = "oldest"
    NEWEST_FIRST = "newest"


@frozen
class Query:
    """Which events are wanted."""

    broker: str
    """`namespace/name`, or `namespace/` for all brokers of the namespace."""
    after: int = 0
    """Only sequences beyond it."""
    before: int = 0
    """Only sequences below it; 0: no bound."""
    since: float | None = None
    """Accepted at that time or later; seconds since the epoch."""
    until: float | None = None
    """Accepted before that time."""
    equal: Mapping[str, str] = field(default_factory=dict)
    """Attributes that are these texts."""
    passes: Callable[[Event], bool] | None = None
    order: Order = Order.OLDEST_FIRST
    limit: int = MAX_PAGE


@frozen
class Page:
    """Some of the events that a query asks for."""

    events: Sequence[StoredEvent]
    next: int
    """To go on: `after` (oldest first) or `before` (newest first) of the next query; 0: that was all there is."""


class Reach(Enum):
    """How a trigger stands to an event."""

    NOT_MATCHED = "not matched"
    PENDING = "pending"
    """Not yet looked at, or not yet at its end."""
    ENDED = "ended"


@frozen
class Timeline:
    """All that is known of one event."""

    stored: StoredEvent
    attempts: Sequence[Attempt]
    """In the order of their ends."""
    triggers: Mapping[str, Reach]
    """By UID, for each trigger of its broker that was there when the event came."""
    causes: Sequence[int]
    """The events that it was a reply to."""


@frozen
class Recorded:
    """An attempt, and the event it carried."""

    entry: int
    """Rises with each attempt that is recorded."""
    attempt: Attempt
    stored: StoredEvent


@frozen
class Level:
    """What waits for a trigger; counted up to MAX_COUNTED."""

    pending: int
    """Events accepted that it has not ended, those its filter will not let pass included."""
    queued: int
    dead_letters: int


MAX_COUNTED = 100_000
"""More of a trigger's events are not told apart: counting a million would take longer than anybody asks for."""


@frozen
class Position:
    """The newest event and the newest attempt."""

    sequence: int
    entry: int


class EventHistory(Protocol):
    """Every method may raise StoreError."""

    async def events(self, query: Query) -> Page:
        """Return events without their data; damaged ones are left out.

        A page may be empty although `next` says to go on.
        """
        ...

    async def event(self, sequence: int) -> StoredEvent | None:
        """Return one event; None when it is not there any more. Raises DamagedEvent."""
        ...

    async def timeline(self, sequence: int) -> Timeline | None:
        """Return what became of an event; None when it is not there any more. Raises DamagedEvent."""
        ...

    async def attempts(self, query: Query) -> Sequence[Recorded]:
        """Return attempts beyond the entry `query.after` of events that are wanted, oldest first."""
        ...

    async def position(self) -> Position:
        """Return how far events and attempts go now."""
        ...

    async def levels(self) -> Mapping[str, Level]:
        """Return what waits for each trigger, by UID."""
        ...

    async def holders(self, retention: Retention, now: float) -> Sequence[str]:
        """Return the UIDs of the triggers that wait for the oldest event, when nothing else keeps it any longer.

        `now`: seconds since the epoch.
        """
        ...

    async def size_bytes(self) -> int:
        """Return what the store takes on disk, as far as it is in use."""
        ...

    async def dead_letters(self, selection: Selection, limit: int = MAX_PAGE) -> Sequence[DeadLetter]:
        """Return what stayed undelivered, oldest first; with data only when an `event_id` is asked for."""
        ...
