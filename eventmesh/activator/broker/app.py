"""The broker's parts together: store, triggers and channels, ingress, dispatcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from eventmesh.activator.broker.acknowledgement import Acknowledgement
from eventmesh.activator.broker.admittance import Admittance, Credentials
from eventmesh.activator.broker.channels import KubeChannels
from eventmesh.activator.broker.dispatcher import Dispatcher, Subscribers
from eventmesh.activator.broker.durability import Durability
from eventmesh.activator.broker.ingress import MAX_EVENT_BYTES, Ingress
from eventmesh.activator.broker.inspection import Inspection
from eventmesh.activator.broker.letters import Letters
from eventmesh.activator.broker.measures import Measures, statistics
from eventmesh.activator.broker.others import Others
from eventmesh.activator.broker.prewarmer import Prewarmer
from eventmesh.activator.broker.replay_orders import ReplayOrders
from eventmesh.activator.broker.replayer import Replayer
from eventmesh.activator.broker.schemas import Schemas
from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.errors import CorruptStore
from eventmesh.activator.broker.store.refusing import refusing
from eventmesh.activator.broker.store.shared.address import journal_at
from eventmesh.activator.broker.store.shared.store import SharedStore
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.store.values import Retention
from eventmesh.activator.broker.subscriptions import Subscriptions
from eventmesh.activator.broker.triggers import KubeTriggers, Peer, TriggerSource
from eventmesh.activator.broker.trimming import Trimmer
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.metrics import Statistics
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import Api
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import BROKER, IN_MEMORY_CHANNEL, TRIGGER
from eventmesh.transport.exchange import ExchangeHandler

STORE_FILE = "events.db"

_log = log.get("activator.broker")

DEFAULT_RETENTION = Retention(max_age_s=24 * 3600.0, max_bytes=1 << 30)
"""A day, to see and repeat what went wrong yesterday; a gibibyte, which any disk has and a million events of 1 KiB
need. What a trigger still waits for stays in any case."""


class Broker:
    """All brokers of this process, over one store."""

    def __init__(
        self,
        data_dir: Path,
        api: Api,
        informers: Informers,
        subscribers: Subscribers,
        clock: Clock,
        wake: Callable[[str], bool],
        retention: Retention = DEFAULT_RETENTION,
        *,
        more: Sequence[TriggerSource] = (),
        admittance: Admittance | None = None,
        credentials: Credentials | None = None,
        store: str = "",
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        """Open the store in `data_dir`, or (`store`) the one at an address, of which `data_dir` then has a copy; raises
        StoreError when the directory is in use, ConfigError when there can be no such address.

        When it is damaged, events are refused until it is repaired; requests are none of its business.

        `wake` wakes the function at an address and returns whether it was asleep. `more` is what is delivered beside
        Triggers and subscribers of channels.
        """
        self._clock = clock
        self._retention = retention
        self._store, self._damaged = _opened(data_dir, store, clock)
        self._informers = informers
        channels = informers.of(IN_MEMORY_CHANNEL)
        triggers = KubeTriggers(informers.of(BROKER), informers.of(TRIGGER))
        schemas = Schemas(informers)
        self.triggers = Subscriptions(triggers, KubeChannels(channels), schemas, *more)
        self._acknowledgement = Acknowledgement(api, channels, self._store, clock)
        self._durability = Durability(api, informers.of(BROKER), self._store, store, clock)
        self._measures = Measures()
        self.ingress = Ingress(
            self._store,
            self.triggers,
            clock,
            triggers.window_s,
            self._measures,
            admittance,
            schemas.violation,
            max_event_bytes,
        )
        self._prewarmer = Prewarmer(self.triggers, triggers.guessing, self._store, clock, wake)
        self._dispatcher = Dispatcher(
            self._store,
            self.triggers,
            self.ingress,
            subscribers,
            clock,
            self._measures,
            self._prewarmer.answered,
            credentials,
        )
        letters = Letters(self._store, self.triggers, clock, self._dispatcher.queued)
        self._replayer = Replayer(self._store, self.triggers, clock, self._dispatcher.queued)
        orders = ReplayOrders(self._store, self.triggers, clock, self._replayer.wake)
        self._others = Others(self.ingress, self._dispatcher, self._replayer)
        rooms: dict[str, ExchangeHandler] = {"dead": letters, "queued": letters, "redrive": letters, "replays": orders}
        self.inspection = Inspection(self._store.history, self.triggers, clock, rooms)
        """What the admin port tells of events."""
        self._tasks, self._replaying = TaskGroup("broker"), TaskGroup("replayer")

    @property
    def store(self) -> EventStore:
        """Return where events are kept."""
        return self._store

    async def statistics(self) -> Statistics:
        """Return what is counted, and what waits. Raises StoreError."""
        found = await statistics(self._measures, self._store, self.triggers)
        found.counters += self._prewarmer.statistics().counters
        return found

    async def start(self) -> None:
        """Learn which Brokers, Triggers and channels there are; return when events can be taken in."""
        await self._informers.start()
        self._acknowledgement.controller.start()
        self._durability.start()
        self._tasks.spawn("trim", Trimmer(self._store, self.triggers, self._clock, self._retention).run())

    def deliver(self) -> None:
        """Begin to deliver, what was accepted before a restart first; nothing when the store is damaged."""
        if self._damaged:
            return
        self._store.follow(self._others)
        self._dispatcher.start()
        self.ingress.subscribe(self._prewarmer)
        self._prewarmer.start()
        self._replaying.spawn("replay", self._replayer.run())

    async def pause(self) -> None:
        """Deliver no more; events are still taken in."""
        await self._replaying.stop()
        await self._prewarmer.stop()
        await self._dispatcher.stop()
        # Others need not wait until they miss this one.
        await self._store.shares.leave()

    async def stop(self) -> None:
        """End everything and close the store."""
        await self._acknowledgement.controller.stop()
        await self._durability.controller.stop()
        await self._replaying.stop()
        await self._prewarmer.stop()
        await self._dispatcher.stop()
        await self._tasks.stop()
        await self._informers.stop()
        await self._store.close()

    def unserved(self) -> Iterator[tuple[str, int]]:
        """Yield addresses of subscribers, and how many events wait because one has no room for them."""
        return self._dispatcher.unserved()

    def addresses(self) -> Iterator[tuple[str, Peer]]:
        """Yield the address of every subscriber, dead letter sink and taker of replies, and who is there."""
        for subscription in self.triggers.subscriptions().values():
            identity = subscription.identity
            yield subscription.subscriber_uri, identity.subscriber
            if subscription.policy.dead_letter_uri:
                yield subscription.policy.dead_letter_uri, identity.dead_letter
            if "://" in subscription.reply_to:
                yield subscription.reply_to, identity.reply


def _opened(directory: Path, address: str, clock: Clock) -> tuple[EventStore, bool]:
    """Return the store in a directory or at an address, and whether it is damaged; raises StoreError, ConfigError."""
    if address:
        return SharedStore(journal_at(address), directory, clock), False
    try:
        return SqliteStore(directory / STORE_FILE, clock), False
    except CorruptStore as damage:
        _log.error("no event is taken in or delivered", reason=damage)
        return refusing(damage), True
