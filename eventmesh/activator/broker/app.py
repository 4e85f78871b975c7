"""The broker's parts together: store, triggers, ingress, dispatcher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eventmesh.activator.broker.dispatcher import Dispatcher, Subscribers
from eventmesh.activator.broker.ingress import Ingress
from eventmesh.activator.broker.store.api import EventStore, StoreError
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.triggers import KubeTriggers
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import Api
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import BROKER, TRIGGER

STORE_FILE = "events.db"

TRIM_INTERVAL_S = 30.0
"""Events that nobody waits for are deleted this often."""

_log = log.get("activator.broker")


class Broker:
    """All brokers of this process, over one store."""

    def __init__(self, data_dir: Path, api: Api, subscribers: Subscribers, clock: Clock) -> None:
        """Open the store in `data_dir`; raises StoreError (in use) or CorruptStore (damaged)."""
        self._clock = clock
        self._store: EventStore = SqliteStore(data_dir / STORE_FILE, clock)
        self._informers = Informers(api, clock)
        self.triggers = KubeTriggers(self._informers.of(BROKER), self._informers.of(TRIGGER))
        self.ingress = Ingress(self._store, self.triggers, clock)
        self._dispatcher = Dispatcher(self._store, self.triggers, self.ingress, subscribers, clock)
        self._tasks = TaskGroup("broker")

    async def start(self) -> None:
        """Learn which Brokers and Triggers there are; return when events can be taken in."""
        await self._informers.start()
        self._tasks.spawn("trim", self._trim())

    def deliver(self) -> None:
        """Begin to deliver, what was accepted before a restart first."""
        self._dispatcher.start()

    async def pause(self) -> None:
        """Deliver no more; events are still taken in."""
        await self._dispatcher.stop()

    async def stop(self) -> None:
        """End everything and close the store."""
        await self._dispatcher.stop()
        await self._tasks.stop()
        await self._informers.stop()
        await self._store.close()

    def addresses(self) -> Iterator[str]:
        """Yield the address of every subscriber and dead letter sink."""
        for subscription in self.triggers.subscriptions().values():
            yield subscription.subscriber_uri
            if subscription.policy.dead_letter_uri:
                yield subscription.policy.dead_letter_uri

    async def _trim(self) -> None:
        while True:
            await self._clock.sleep(TRIM_INTERVAL_S)
            try:
                await self._forget_deleted_triggers()
                gone = await self._trim_all()
            except StoreError as error:
                _log.error("event store", reason=error)
            else:
                if gone:
                    _log.debug("trimmed", events=gone)

    async def _forget_deleted_triggers(self) -> None:
        # One that was deleted while this process was down would keep every event from then on from going.
        for uid in await self._store.triggers():
            if not self.triggers.exists(uid):
                await self._store.forget_trigger(uid)

    async def _trim_all(self) -> int:
        """Delete what nobody waits for, a batch at a time; return how many events went."""
        total = 0
        while gone := await self._store.trim():
            total += gone
        return total
