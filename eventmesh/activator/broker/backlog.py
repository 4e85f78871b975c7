"""What a trigger still has to deliver, read from the store piece by piece: its queue first, then the events behind its
place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eventmesh.activator.broker.delivery import DeliveryTable
from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.errors import DamagedEvent
from eventmesh.activator.broker.store.queue import Origin, QueuedEvent
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen

READ_BATCH = 128
"""Events read at once."""

READ_BYTES = 16 << 20
"""Data of the events, or of the entries of the queue, that are read at once, and one more: all of it is in memory."""

LOOK_AGAIN_S = 30.0
"""Longest wait for the queue's next time: the machine may sleep or its clock be set, and times are the wall clock's."""

MAX_QUEUED_LOADED = 256
"""Entries of the queue that are under way or could be: a long queue leaves room for what is accepted now."""

READ_AGAIN_AT = MAX_QUEUED_LOADED // 2
"""So few of them are left when more are read: a few at a time would cost a query each."""

MAX_UNRECORDED = 4_096
"""Entries of the queue that have been read and whose ends are not on disk, those that wait for another of their group
among them: so far do other groups get ahead of one that is stuck. With fewer the sync of the disk would set the pace;
with more each query, which steps over all of them, would take milliseconds."""


@frozen
class Item:
    """An event to be looked at: `entry` of the queue, or (0) as it was accepted. `problem`: it cannot be read."""

    sequence: int
    entry: int
    stored: StoredEvent | None
    problem: str = ""
    asked_for: bool = False
    """Somebody wants it delivered now, whatever the event itself says of its time."""


class Backlog:
    """The reading side of one trigger: reads no more than its table has room for."""

    def __init__(self, store: EventStore, clock: Clock, table: DeliveryTable) -> None:
        self._store = store
        self._table = table
        self._clock = clock
        self._trigger = self._broker = ""
        self._position = 0
        """Everything up to here has been read."""
        self._ahead: frozenset[int] = frozenset()
        self._more = True
        self._reading = False
        self._more_queued = True
        self._unrecorded: set[int] = set()
        """Entries of the queue that have been read and are still there."""
        self._queue_at: float | None = None
        """When, by the monotonic clock, the next entry is due."""

    async def open(self, trigger: str, broker: str, start_at: float | None) -> int:
        """Find the place of the trigger with that UID; return the sequence it begins behind. Raises StoreError."""
        progress = await self._store.open_trigger(trigger, broker, start_at)
        self._trigger, self._broker = trigger, broker
        self._position, self._ahead = progress.cursor, progress.ahead
        return progress.cursor

    def look(self) -> None:
        """Look into the store again: an event was accepted."""
        self._more = True

    def passed(self, sequence: int) -> bool:
        """Go past an event that was accepted and need not be read; return False when that cannot be known yet.

        To be asked for each event of the broker, in order. Who has read everything else need not read it.
        """
        if self._more or self._reading:
            self._more = True
            return False
        if sequence <= self._position:
            return False
        self._position = sequence
        return True

    def look_into_queue(self) -> None:
        """Look into the queue again: something was put there."""
        self._more_queued = True

    def recorded(self, entry: int) -> None:
        """Take note that the end of an entry of the queue is on disk."""
        self._unrecorded.discard(entry)

    @property
    def more(self) -> bool:
        """Return whether the store may hold more that there is room for."""
        if self._queue_at is not None and self._queue_at <= self._clock.monotonic():
            self._more_queued = True
        return (self._more and self._table.room > 0) or (self._more_queued and self._room_for_queued > 0)

    @property
    def _room_for_queued(self) -> int:
        """Return how many more entries of the queue are worth a query."""
        if self._table.queued > READ_AGAIN_AT:
            return 0
        return min(MAX_QUEUED_LOADED - self._table.queued, MAX_UNRECORDED - len(self._unrecorded), self._table.room)

    @property
    def waits_for_record(self) -> bool:
        """Return whether no more of the queue is read before ends are on disk."""
        return len(self._unrecorded) >= MAX_UNRECORDED

    def wake_at(self) -> float | None:
        """Return when the queue has more, by the monotonic clock; None: nothing waits for its time."""
        return self._queue_at if self._room_for_queued > 0 else None

    async def read(self) -> list[Item]:
        """Return as many items as there is room for, or a few when there are many; raises StoreError."""
        items = await self._read_queue()
        room = self._table.room - len(items)
        if self._more and room > 0:
            items += await self._read_events(min(READ_BATCH, room))
        return items

    async def _read_queue(self) -> list[Item]:
        free = self._room_for_queued
        if not self._more_queued or free <= 0:
            return []
        # Before the question: what is put there meanwhile must not be missed.
        self._more_queued = False
        now = self._clock.now().timestamp()
        try:
            due = await self._store.queue.due(self._trigger, now, free, self._unrecorded, READ_BYTES)
        except BaseException:
            self._more_queued = True
            raise
        new = due.entries
        self._unrecorded |= {entry.entry for entry in new}
        self._more_queued = self._more_queued or len(new) == free or _come_to_bound(entry.stored for entry in new)
        wait = None if due.next_due is None else min(max(0.0, due.next_due - now), LOOK_AGAIN_S)
        self._queue_at = None if wait is None else self._clock.monotonic() + wait
        return [_item(entry) for entry in new]

    async def _read_events(self, limit: int) -> list[Item]:
        self._more, self._reading = False, True
        try:
            events = await self._store.read(self._broker, self._position, limit, READ_BYTES)
        except DamagedEvent as error:
            self._more = True
            # It can never be delivered, and must not hold up those behind it.
            return [*self._past(error.before), *self._broken(error)]
        except BaseException:
            self._more = True
            raise
        finally:
            self._reading = False
        self._more = self._more or len(events) == limit or _come_to_bound(events)
        return list(self._past(events))

    def _past(self, events: Iterable[StoredEvent]) -> Iterator[Item]:
        for stored in events:
            self._position = stored.sequence
            if stored.sequence not in self._ahead:
                yield Item(stored.sequence, 0, stored)

    def _broken(self, damaged: DamagedEvent) -> Iterator[Item]:
        self._position = damaged.sequence
        if damaged.sequence not in self._ahead:
            yield Item(damaged.sequence, 0, None, str(damaged))

    async def again(self, sequence: int, entry: int) -> Item:
        """Return an item that was read before and let go; raises StoreError."""
        if entry:
            queued = await self._store.queue.entry(entry)
            return _item(queued) if queued else Item(sequence, entry, None, "is not in the queue any more")
        try:
            found = await self._store.event(sequence)
        except DamagedEvent as error:
            return Item(sequence, 0, None, str(error))
        return Item(sequence, 0, found, "" if found else "is not in the store any more")


def _come_to_bound(read: Iterable[StoredEvent | None]) -> bool:
    return sum(stored.size for stored in read if stored is not None) >= READ_BYTES


def _item(queued: QueuedEvent) -> Item:
    problem = "" if queued.stored else "is damaged in the queue"
    return Item(queued.sequence, queued.entry, queued.stored, problem, queued.origin is not Origin.DELAYED)
