"""EventTypes made from what is seen: one for each type and source that a broker or channel accepts.

Off unless the ConfigMap `config-features` of `knative-eventing` says `eventtype-auto-create: enabled`, as in Knative.
The catalogue is a courtesy: it never holds up an event, and what could not be written is written with the next event.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

from eventmesh.activator.broker.addressee import channel_of, is_broker
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.base import log
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.eventing_features import FeatureStore
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import controller_of, owner_reference
from eventmesh.kube.resources import BROKER, CHANNEL, EVENT_TYPE, IN_MEMORY_CHANNEL

MAX_TYPES: Final = 5_000
"""Most types that one process makes: a sender that puts a number into `type` must not fill the API with objects."""

_log = log.get("activator.event_types")

_Seen = tuple[str, str, str, str]
"""Key of broker or channel, type, source, dataschema."""


class EventTypes:
    """Hears of every accepted event (`Ingress.subscribe`) and keeps the catalogue."""

    def __init__(self, api: Api, informers: Informers, features: FeatureStore) -> None:
        self._api = api
        self._features = features
        self._brokers = informers.of(BROKER)
        self._channels = informers.of(IN_MEMORY_CHANNEL)
        self._seen: set[_Seen] = set()
        self._waiting: asyncio.Queue[_Seen] = asyncio.Queue()
        self._tasks = TaskGroup("event types")

    def start(self) -> None:
        """Begin to write what is seen."""
        self._tasks.spawn("write", self._write())

    async def stop(self) -> None:
        """Make no more."""
        await self._tasks.stop()

    def accepted(self, stored: StoredEvent) -> None:
        """Take note of an event of a broker or channel."""
        if not self._features.current.auto_create or not (is_broker(stored.broker) or channel_of(stored.broker)):
            return
        event = stored.event
        seen = (stored.broker, event.type, event.source, event.text("dataschema"))
        if seen in self._seen or len(self._seen) >= MAX_TYPES:
            return
        self._seen.add(seen)
        self._waiting.put_nowait(seen)
        if len(self._seen) == MAX_TYPES:
            _log.error("no more event types are made: the limit is reached", limit=MAX_TYPES, last=event.type)

    async def _write(self) -> None:
        while True:
            seen = await self._waiting.get()
            try:
                await self._create(seen)
            except (ApiError, UnavailableError) as error:
                _log.warning("event type not written", type=seen[1], broker=seen[0], reason=error)
                self._seen.discard(seen)

    async def _create(self, seen: _Seen) -> None:
        found = self._addressable(seen[0])
        if found is None:
            self._seen.discard(seen)
            return
        resource, owner = found
        made = event_type_of(seen, resource, owner)
        try:
            await self._api.create(EVENT_TYPE, made, made["metadata"]["namespace"])
        except ApiError as error:
            if not error.already_exists:
                raise

    def _addressable(self, key: str) -> tuple[Resource, Object] | None:
        """Return the object behind a key, the Channel rather than the one that it made."""
        named = channel_of(key)
        if named is None:
            namespace, _, name = key.partition("/")
            broker = self._brokers.get(name, namespace)
            return (BROKER, broker) if broker is not None else None
        channel = self._channels.get(named[1], named[0])
        if channel is None:
            return None
        owner = controller_of(channel)
        if owner is not None and owner["kind"] == CHANNEL.kind:
            metadata = {"name": owner["name"], "namespace": named[0], "uid": owner["uid"]}
            return CHANNEL, {"metadata": metadata}
        return IN_MEMORY_CHANNEL, channel


def event_type_of(seen: _Seen, resource: Resource, owner: Object) -> Object:
    """Return the EventType of what was seen; it goes with its broker or channel."""
    key, type_, source, schema = seen
    metadata = owner["metadata"]
    digest = hashlib.sha256("\n".join(seen).encode()).hexdigest()[:32]
    reference = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "namespace": metadata["namespace"],
        "name": metadata["name"],
    }
    spec = {"type": type_, "source": source, "reference": reference, "description": f"seen by {key}"}
    if schema:
        spec["schema"] = schema
    return {
        "apiVersion": EVENT_TYPE.api_version,
        "kind": EVENT_TYPE.kind,
        "metadata": {
            "name": f"et-{metadata['name'][:200]}-{digest}",
            "namespace": metadata["namespace"],
            "ownerReferences": [owner_reference(resource, owner, block_owner_deletion=False)],
        },
        "spec": spec,
    }
