"""What a trigger is to get at a later time, or once more: delayed events, redriven dead letters, replayed events.

An entry is a copy of its event: it may wait for a long time, and must not keep all later events from going.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from enum import Enum
from typing import Protocol

from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.base.frozen import frozen


class Origin(Enum):
    """Why an event is in the queue."""

    DELAYED = "delayed"
    """Its `deliverafter` lies ahead."""
    REDRIVEN = "redriven"
    """It was a dead letter."""
    REPLAYED = "replayed"
    """Somebody asked for a part of the past."""


@frozen
class QueuedEvent:
    """One entry."""

    entry: int
    """Its number; never used twice."""
    trigger: str
    """UID of the Trigger that is to get it."""
    due: float
    """When; seconds since the epoch."""
    origin: Origin
    sequence: int
    stored: StoredEvent | None
    """None: the copy is damaged."""


@frozen
class Due:
    """What may be delivered now, and when there will be more."""

    entries: Sequence[QueuedEvent]
    next_due: float | None
    """Of the first entry that is not due yet; None: there is none."""


@frozen
class Selection:
    """Which dead letters are meant."""

    broker: str
    """`namespace/name`, or `namespace/` for all brokers of the namespace."""
    trigger: str = ""
    """`namespace/name` of a Trigger; empty: of all."""
    event_id: str = ""
    """`id` of the event; empty: all."""


@frozen
class Redriven:
    """A dead letter that is on its way again."""

    trigger: str
    """UID of its Trigger."""
    name: str
    """`namespace/name` of its Trigger."""
    sequence: int
    event_id: str
    due: float


class EventQueue(Protocol):
    """Every method may raise StoreError."""

    async def due(
        self, trigger: str, now: float, limit: int, beside: Collection[int] = (), max_bytes: float = math.inf
    ) -> Due:
        """Return the first `limit` entries of `trigger` that are due at `now`, in the order of their times.

        Those in `beside` are left out: the caller has them already. None follows the one with which their data come to
        `max_bytes`.
        """
        ...

    async def entry(self, entry: int) -> QueuedEvent | None:
        """Return one entry; None when it has ended."""
        ...

    async def waiting(self, broker: str, limit: int) -> Sequence[QueuedEvent]:
        """Return entries of all triggers, by time, without data; `broker` as in `Selection`."""
        ...

    async def redrive(self, selection: Selection, now: float, rate_per_s: float = 0.0) -> Sequence[Redriven]:
        """Move dead letters into the queue, `rate_per_s` of them due each second (0: all at once); oldest first.

        Damaged ones stay. Each is either a dead letter or in the queue, whenever the process dies.
        """
        ...
