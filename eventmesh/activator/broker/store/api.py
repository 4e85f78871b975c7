"""The event store as the broker sees it. Every engine passes tests/contracts/event_store.py unchanged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from eventmesh.activator.broker.store.history import EventHistory
from eventmesh.activator.broker.store.queue import EventQueue
from eventmesh.activator.broker.store.replays import EventReplays
from eventmesh.activator.broker.store.shares import Shares
from eventmesh.activator.broker.store.values import (
    KEEP_NOTHING,
    Attempt,
    NewEvent,
    Progress,
    Retention,
    Settlement,
    StoredEvent,
)


class Elsewhere(Protocol):
    """Who wants to hear of what other processes do to a store that is shared with them."""

    def accepted(self, stored: StoredEvent) -> None:
        """Take note of an event that another has accepted."""
        ...

    def queued(self, uid: str) -> None:
        """Take note that another has put something into the queue of a trigger."""
        ...

    def replaying(self) -> None:
        """Take note that another was asked for a replay."""
        ...


class EventStore(Protocol):
    """Durable, ordered, shared by all brokers of a process. Every method may raise StoreError."""

    @property
    def shares(self) -> Shares:
        """Return which triggers this process works on."""
        ...

    @property
    def kept_in(self) -> str:
        """Return where events are, in words, without secrets."""
        ...

    @property
    def doubts(self) -> Sequence[str]:
        """Return what of its promises the engine cannot keep, or does not tell whether it does; in words."""
        ...

    def follow(self, listener: Elsewhere) -> None:
        """Tell `listener` of what others do, from now on, and take part in the work."""
        ...

    @property
    def history(self) -> EventHistory:
        """Return the side of the store that people look at."""
        ...

    @property
    def queue(self) -> EventQueue:
        """Return what triggers are to get later, or again."""
        ...

    @property
    def replays(self) -> EventReplays:
        """Return the parts of the past that triggers are to get once more."""
        ...

    async def append(self, new: NewEvent) -> StoredEvent:
        """Return once the event is on disk: what returned is never lost. Concurrent calls share one sync.

        An event that came before, in the time for which it is to be unique, is returned as a `duplicate`.
        """
        ...

    async def read(self, broker: str, after: int, limit: int, max_bytes: float = math.inf) -> Sequence[StoredEvent]:
        """Return up to `limit` events of `broker` with a sequence beyond `after`, in order.

        None follows the one with which their data come to `max_bytes`: no more than that and one event is held.
        Raises DamagedEvent, which holds those before it, when one of them is not what was written.
        """
        ...

    async def event(self, sequence: int) -> StoredEvent | None:
        """Return one event; None when it is not there any more. Raises DamagedEvent."""
        ...

    async def open_trigger(self, trigger: str, broker: str, start_at: float | None = None) -> Progress:
        """Return how far `trigger` is.

        One that was never seen starts behind the last event accepted so far, or with the first that was accepted
        at `start_at` (seconds since the epoch) and is still there.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement], attempts: Sequence[Attempt] = ()) -> None:
        """Record ends, and the attempts that led there.

        A crash may forget the latest of them: those events are delivered again.
        """
        ...

    async def forget_trigger(self, trigger: str) -> None:
        """Drop what is known of a deleted trigger; events that only it waited for may go."""
        ...

    async def triggers(self) -> Sequence[str]:
        """Return the UIDs of all triggers that have a place, those deleted meanwhile included."""
        ...

    async def trim(self, retention: Retention = KEEP_NOTHING) -> int:
        """Delete the oldest events that no trigger waits for and that need not be kept; return how many went.

        It deletes a batch at a time: call it until nothing goes.
        """
        ...

    async def close(self) -> None:
        """Finish what was begun and release the files."""
        ...
