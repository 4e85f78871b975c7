"""Telling a channel who is served: a subscriber counts as ready once it has its place among the events on disk.

From then on it misses nothing, whatever happens to this process. This is what `Ready` of a Subscription waits for.
"""

from __future__ import annotations

from eventmesh.activator.broker.addressee import channel_key
from eventmesh.activator.broker.channels import compile_subscriber, subscribers_of
from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError, TemporaryError
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import IN_MEMORY_CHANNEL
from eventmesh.kube.status import FALSE, TRUE

STORE_RETRY_S = 1.0
"""Wait before a store that could not take a place in is asked again."""


class Acknowledgement:
    """Keeps `status.subscribers` of every InMemoryChannel true."""

    def __init__(self, api: Api, channels: Informer, store: EventStore, clock: Clock) -> None:
        self._api = api
        self._channels = channels
        self._store = store
        self.controller = Controller("subscribers", channels, self.reconcile, clock)

    async def reconcile(self, key: Key) -> None:
        """Give each subscriber of the channel its place, and say so."""
        channel = self._channels.get(key.name, key.namespace)
        if channel is None or is_deleting(channel):
            return
        told = (channel.get("status") or {}).get("subscribers") or []
        known = {(entry["uid"], entry.get("observedGeneration")): entry for entry in told}
        wanted = []
        for entry in subscribers_of(channel):
            before = known.get((entry["uid"], entry.get("generation")))
            wanted.append(before if before and before.get("ready") == TRUE else await self._place(channel, entry))
        if wanted != told:
            change = {"status": {"subscribers": wanted}}
            await self._api.patch(IN_MEMORY_CHANNEL, key.name, change, key.namespace, subresource="status")

    async def _place(self, channel: Object, entry: Object) -> Object:
        told = {"uid": entry["uid"], "observedGeneration": entry.get("generation", 0)}
        key = key_of(channel)
        try:
            compile_subscriber(channel, entry)
            await self._store.open_trigger(entry["uid"], channel_key(key.namespace, key.name))
        except ConfigError as error:
            return {**told, "ready": FALSE, "message": str(error)}
        except StoreError as error:
            raise TemporaryError(str(error), STORE_RETRY_S) from error
        return {**told, "ready": TRUE}
