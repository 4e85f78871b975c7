"""Where a source puts its events: its own queue on disk, from which they go to its sink."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.errors import EventTooLong, StoreError
from eventmesh.activator.broker.store.values import Progress, StoredEvent
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.tasks import TaskGroup
from eventmesh.cloudevents.event import Event, InvalidEvent

if TYPE_CHECKING:
    from eventmesh.core.actions import Headers

STORE_RETRY_S = 1.0
"""Wait before a store that could not take an event in is asked again."""

REMEMBERED_S = 300.0
"""What another activator is to keep is remembered so long, should that one be dead: to notice takes five seconds, and
as long as the journal is away nobody can take its place."""

UNIQUE_S = 2 * REMEMBERED_S
"""So long an event is known again that was remembered here and kept there as well."""

MAX_REMEMBERED, MAX_REMEMBERED_BYTES = 5_000, 8 << 20
"""Of one source, the oldest are forgotten first: sixteen changes a second for five minutes, and little memory."""

MAX_ALL_BYTES = 64 << 20
"""Of all sources, shared evenly: a tenth of what an activator is usually given, however many sources there are."""

_log = log.get("activator.sources")


class Intake(Protocol):
    """The part of the broker's ingress that sources use."""

    async def accept(
        self, broker: str, event: Event, headers: Headers, *, unique_for_s: float | None = None
    ) -> StoredEvent:
        """Return the event once it is on disk; raises StoreError."""
        ...


@dataclass(slots=True)
class _Remembered:
    """The newest events of one source that are not known to be on disk, oldest first."""

    key: str
    events: deque[tuple[float, Event]] = field(default_factory=deque)
    size: int = 0
    is_ours: bool = False
    """Whether it was for this process to keep them when that was last looked at."""
    storing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def add(self, at: float, event: Event) -> None:
        self.events.append((at, event))
        self.size += len(event.data or b"")

    def drop(self) -> None:
        _, event = self.events.popleft()
        self.size -= len(event.data or b"")

    def forget(self, before: float, most_bytes: int) -> None:
        """Drop what is too old, or too much."""
        while self.events and (
            self.events[0][0] < before or len(self.events) > MAX_REMEMBERED or self.size > most_bytes
        ):
            self.drop()


class Outbox:
    """The way of all sources into the store."""

    def __init__(self, store: EventStore, intake: Intake, clock: Clock) -> None:
        self._store = store
        self._intake = intake
        self._clock = clock
        self._remembered: dict[str, _Remembered] = {}
        """By UID of the source."""
        self._tasks = TaskGroup("outbox")
        store.shares.subscribe(self._shares_changed)

    async def stop(self) -> None:
        """Store nothing more."""
        await self._tasks.stop()

    async def open(self, uid: str, key: str) -> None:
        """Give the sink its place behind what was sent so far: it gets every event from now on."""
        while True:
            try:
                await self._store.open_trigger(uid, key)
            except StoreError as error:
                await self._failed(key, error)
            else:
                return

    async def put(self, uid: str, key: str, event: Event) -> None:
        """Return once the event is on disk, however long that takes; one that the store can never take is told.

        Where several activators share the store each makes the events of all sources, and the one that works on this
        source keeps them; the others remember them, and keep what that one did not when its work becomes theirs.
        """
        remembered = self._remembered.get(uid)
        if remembered is None:
            remembered = self._remembered[uid] = _Remembered(key)
            for other in self._remembered.values():
                self._forget(other)  # each has a smaller share now
        remembered.add(self._clock.monotonic(), event)
        await self._store_remembered(uid, remembered)

    async def keep(self, key: str, placed: Sequence[tuple[str, Event]]) -> list[StoredEvent]:
        """Return once all are on disk, in their order, however long that takes; those that can never be are told, with
        the place where each was found.

        For a source whose events stay where they come from until this has returned: nothing is remembered here, and
        where the store fails half-way some are stored twice.
        """
        kept: list[StoredEvent] = []
        left = list(placed)
        while left:
            # Together: the store gathers them into few transactions.
            storing = (self._intake.accept(key, event, (), unique_for_s=0.0) for _, event in left)
            ended = await asyncio.gather(*storing, return_exceptions=True)
            for (place, event), end in zip(left[:], ended, strict=True):
                if isinstance(end, StoredEvent):
                    kept.append(end)
                elif isinstance(end, StoreError) and not isinstance(end, EventTooLong):
                    # Those behind it are stored once more: they are to be behind it.
                    await self._failed(key, end)
                    break
                elif isinstance(end, EventTooLong | InvalidEvent):
                    _log.error("event not stored", source=key, event=event.id, place=place, reason=end)
                else:
                    raise end
                left.pop(0)
        return kept

    async def progress(self, uid: str, key: str) -> Progress:
        """Return how far the sink is; raises StoreError."""
        return await self._store.open_trigger(uid, key)

    def works_on(self, uid: str) -> bool:
        """Return whether it is for this process to keep the events of a source."""
        return self._store.shares.mine(uid)

    def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever `works_on` may answer otherwise."""
        self._store.shares.subscribe(changed)

    def closed(self, uid: str) -> None:
        """Forget a source that makes no more events."""
        self._remembered.pop(uid, None)

    def _shares_changed(self) -> None:
        for uid, remembered in self._remembered.items():
            if remembered.events and self._store.shares.mine(uid):
                self._tasks.spawn(f"remembered {remembered.key}", self._store_remembered(uid, remembered))

    async def _store_remembered(self, uid: str, remembered: _Remembered) -> None:
        """Store all events in their order, for as long as the source is this process's to work on."""
        async with remembered.storing:
            # Before, not after: what another has kept long ago would not be known again, and be sent twice.
            self._forget(remembered)
            remembered.is_ours = self._store.shares.mine(uid)
            while remembered.events and self._store.shares.mine(uid):
                if await self._stored(remembered.key, remembered.events[0][1]):
                    remembered.drop()

    def _forget(self, remembered: _Remembered) -> None:
        """Let go of what another activator has kept by now, and of what there is no room for."""
        if not remembered.is_ours:
            most = min(MAX_REMEMBERED_BYTES, MAX_ALL_BYTES // max(1, len(self._remembered)))
            remembered.forget(self._clock.monotonic() - REMEMBERED_S, most)

    async def _stored(self, key: str, event: Event) -> bool:
        """Return whether there is no more to be done about an event."""
        try:
            await self._intake.accept(key, event, (), unique_for_s=UNIQUE_S)
        except EventTooLong as error:
            # It would be no shorter the next time, and those behind it wait.
            _log.error("event not stored", source=key, event=event.id, reason=error)
        except StoreError as error:
            await self._failed(key, error)
            return False
        return True

    async def _failed(self, key: str, error: StoreError) -> None:
        _log.error("event store", source=key, reason=error)
        await self._clock.sleep(STORE_RETRY_S)
