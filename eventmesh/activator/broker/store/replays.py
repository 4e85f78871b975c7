"""Parts of the past that a trigger is to get once more, and how far each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from eventmesh.base.frozen import frozen


@frozen
class NewReplay:
    """What somebody asks for."""

    trigger: str
    """UID of the Trigger."""
    name: str
    """`namespace/name` of the Trigger."""
    broker: str
    since: float | None = None
    """Accepted then or later; None: from the oldest event that is still there. Seconds since the epoch."""
    until: float | None = None
    """Accepted before; None: up to now."""
    expression: str = ""
    """CESQL that must hold as well; empty: whatever the trigger's own filter lets pass."""
    rate_per_s: float = 0.0
    """0: no limit."""


@frozen
class Replay:
    """A replay under way."""

    number: int
    trigger: str
    name: str
    broker: str
    expression: str
    rate_per_s: float
    started_at: float
    first: int
    """Sequence of the first event that may be part of it."""
    last: int
    position: int
    """Every event up to here has been looked at."""
    queued: int = 0
    """Events that have gone into the queue of the trigger."""
    next_due: float = 0.0
    """When the rate allows another one; seconds since the epoch."""


@frozen
class Advance:
    """A step of a replay."""

    number: int
    position: int
    events: Sequence[tuple[int, float]]
    """Sequences that go into the queue, and when each is due."""
    next_due: float


class EventReplays(Protocol):
    """Every method may raise StoreError. The events of a replay stay until it has passed them."""

    async def start(self, new: NewReplay, now: float) -> Replay:
        """Return the replay; it is there until it has ended, whenever the process dies."""
        ...

    async def all(self) -> Sequence[Replay]:
        """Return what is under way, oldest first."""
        ...

    async def advance(self, step: Advance) -> int:
        """Queue events and move on, all or nothing; return how many were queued.

        Events that the trigger has not come to itself are left to it. A replay at its last event is over.
        """
        ...

    async def outstanding(self, trigger: str) -> int:
        """Return how many replayed events wait in the queue of a trigger."""
        ...

    async def stop(self, number: int) -> bool:
        """End a replay; what is in the queue stays there. Return whether there was such a one."""
        ...
