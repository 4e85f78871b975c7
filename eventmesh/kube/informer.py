"""A local copy of one kind, kept true by list and watch, with indexes and change handlers.

After `client-go/tools/cache`: list once, watch from the list's version, list again only when the server
has forgotten that version (410). Handlers run in the event loop, right after the copy has changed, and
must not block; they are told old and new, never *what* was done, because a relist cannot know.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from eventmesh.base import log
from eventmesh.base.backoff import Backoff
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import Api, ApiError, EventType, Object, Resource, WatchEvent
from eventmesh.kube.objects import Key, key_of, labels_of
from eventmesh.kube.selectors import LabelSelector

_log = log.get("kube.informer")

FIRST_RETRY_S = 0.2
RETRY_CAP_S = 10.0
"""An API that was restarted is found again within ten seconds; client-go allows itself thirty."""
SHORT_WATCH_S = 1.0
"""A watch that ends sooner than this without one event counts as a failure and is backed off."""

Handler = Callable[[Object | None, Object | None], None]
"""Called with (old, new): (None, new) appeared, (old, new) changed, (old, None) gone."""
Indexer = Callable[[Object], Iterable[str]]
"""Names the index entries under which an object is found."""


class Informer:
    """The cache of one kind. Read it only after `synced`; objects in it are shared: copy before changing."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        clock: Clock,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        may_be_absent: bool = False,
    ) -> None:
        """`may_be_absent`: an API that does not serve this kind has none of it, and is asked again now and then."""
        self.resource = resource
        self._may_be_absent = may_be_absent
        self._api = api
        self._clock = clock
        self._scope: dict[str, Any] = {"label_selector": label_selector, "field_selector": field_selector}
        self._namespace = namespace
        self._objects: dict[Key, Object] = {}
        self._by_namespace: dict[str, dict[Key, Object]] = defaultdict(dict)
        self._indexers: dict[str, Indexer] = {}
        self._indexes: dict[str, dict[str, dict[Key, Object]]] = {}
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()
        self._version = ""
        self._backoff = Backoff(FIRST_RETRY_S, RETRY_CAP_S)

    # -- reading

    @property
    def has_synced(self) -> bool:
        """Return whether the first list has been taken in."""
        return self._synced.is_set()

    async def synced(self) -> None:
        """Return when the first list has been taken in."""
        await self._synced.wait()

    def get(self, name: str, namespace: str = "") -> Object | None:
        """Return the cached object, or None."""
        return self._objects.get(Key(namespace, name))

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects that the indexer `index` filed under `value`."""
        return list(self._indexes[index].get(value, {}).values())

    def list(self, namespace: str | None = None, selector: LabelSelector | None = None) -> list[Object]:
        """Return the cached objects of `namespace` (None = all) that `selector` matches."""
        found = self._objects if namespace is None else self._by_namespace.get(namespace, {})
        if selector is None:
            return list(found.values())
        return [obj for obj in found.values() if selector.matches(labels_of(obj))]

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    @property
    def resource_version(self) -> str:
        """Return up to which version of the kind every change has been taken in; empty before the first list."""
        return self._version

    # -- wiring

    def add_index(self, index: str, indexer: Indexer) -> None:
        """File present and future objects under the names that `indexer` gives them."""
        if index in self._indexers:
            return
        self._indexers[index] = indexer
        self._indexes[index] = defaultdict(dict)
        for key, obj in self._objects.items():
            for value in indexer(obj):
                self._indexes[index][value][key] = obj

    def add_handler(self, handler: Handler) -> None:
        """Tell `handler` of every object present now, and of every change from now on."""
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            handler(None, obj)

    # -- keeping it true

    async def run(self) -> None:
        """List and watch until cancelled; trouble is logged and retried with growing, jittered waits."""
        version = ""
        while True:
            try:
                if not version:
                    version = await self._relist()
                version = await self._watch_once(version)
            except ApiError as error:
                if error.not_found and self._may_be_absent:
                    self._synced.set()
                if not error.gone:
                    _log.warning("list or watch refused", resource=self.resource.plural, reason=error.message)
                    await self._clock.sleep(self._backoff.next_s())
                version = ""
            except UnavailableError as error:
                _log.warning("API not reachable", resource=self.resource.plural, reason=error)
                await self._clock.sleep(self._backoff.next_s())

    async def _relist(self) -> str:
        listing = await self._api.list(self.resource, self._namespace, **self._scope)
        present = {key_of(obj): obj for obj in listing.items}
        for key in [key for key in self._objects if key not in present]:
            self._set(key, None)
        for key, obj in present.items():
            old = self._objects.get(key)
            if old is None or _version(old) != _version(obj):
                self._set(key, obj)
        self._version = listing.resource_version
        self._synced.set()
        return listing.resource_version

    async def _watch_once(self, version: str) -> str:
        began = self._clock.monotonic()
        events = 0
        watch = self._api.watch(self.resource, self._namespace, resource_version=version, **self._scope)
        async for event in watch:
            events += 1
            self._backoff.reset()
            version = self._version = _version(event.object)
            self._apply(event)
        if not events and self._clock.monotonic() - began < SHORT_WATCH_S:
            await self._clock.sleep(self._backoff.next_s())
        return version

    def _apply(self, event: WatchEvent) -> None:
        match event.type:
            case EventType.ADDED | EventType.MODIFIED:
                self._set(key_of(event.object), event.object)
            case EventType.DELETED:
                self._set(key_of(event.object), None)
            case EventType.BOOKMARK:
                pass

    def _set(self, key: Key, new: Object | None) -> None:
        old = self._objects.pop(key, None)
        if old is not None:
            del self._by_namespace[key.namespace][key]
            for index, indexer in self._indexers.items():
                for value in indexer(old):
                    self._indexes[index][value].pop(key, None)
        if new is not None:
            self._objects[key] = self._by_namespace[key.namespace][key] = new
            for index, indexer in self._indexers.items():
                for value in indexer(new):
                    self._indexes[index][value][key] = new
        if old is not None or new is not None:
            for handler in self._handlers:
                handler(old, new)


class Informers:
    """The informers that the controllers of one process share: one for each kind, whoever asks."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._informers: dict[Resource, Informer] = {}
        self._tasks = TaskGroup("informers")
        self._running = False

    def of(self, resource: Resource, *, may_be_absent: bool = False) -> Informer:
        """Return the informer of `resource` over all namespaces; the first call makes it, and says whether the API may
        not serve the kind at all."""
        informer = self._informers.get(resource)
        if informer is None:
            informer = self._informers[resource] = Informer(
                self._api, resource, self._clock, may_be_absent=may_be_absent
            )
            if self._running:
                self._tasks.spawn(resource.plural, informer.run())
        return informer

    def kinds(self) -> list[Resource]:
        """Return the kinds that have been asked for."""
        return list(self._informers)

    async def start(self) -> None:
        """Start every informer asked for so far, and return when all have synced."""
        if not self._running:
            self._running = True
            for resource, informer in self._informers.items():
                self._tasks.spawn(resource.plural, informer.run())
        for informer in list(self._informers.values()):
            await informer.synced()

    async def stop(self) -> None:
        """Stop watching; the caches stay readable."""
        await self._tasks.stop()
        self._running = False


def _version(obj: Object) -> str:
    version: str = obj["metadata"].get("resourceVersion", "")
    return version
