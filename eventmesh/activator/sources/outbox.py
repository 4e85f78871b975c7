"""Where a source puts its events: its own queue on disk, from which they go to its sink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.errors import EventTooLong, StoreError
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.cloudevents.event import Event

if TYPE_CHECKING:
    from eventmesh.core.actions import Headers

STORE_RETRY_S = 1.0
"""Wait before a store that could not take an event in is asked again."""

_log = log.get("activator.sources")


class Intake(Protocol):
    """The part of the broker's ingress that sources use."""

    async def accept(self, broker: str, event: Event, headers: Headers) -> StoredEvent:
        """Return the event once it is on disk; raises StoreError."""
        ...


class Outbox:
    """The way of all sources into the store."""

    def __init__(self, store: EventStore, intake: Intake, clock: Clock) -> None:
        self._store = store
        self._intake = intake
        self._clock = clock

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
        source keeps them.
        """
        if not self._store.shares.mine(uid):
            return
        while True:
            try:
                await self._intake.accept(key, event, ())
            except EventTooLong as error:
                # It would be no shorter the next time, and those behind it wait.
                _log.error("event not stored", source=key, event=event.id, reason=error)
                return
            except StoreError as error:
                await self._failed(key, error)
            else:
                return

    async def _failed(self, key: str, error: StoreError) -> None:
        _log.error("event store", source=key, reason=error)
        await self._clock.sleep(STORE_RETRY_S)
