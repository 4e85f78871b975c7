"""ApiServerSources at work: a watch for each kind, an event for each change.

What exists when a watch begins is not told, as in Knative; nor is what changed while nobody watched. The next object is
read from a watch only when the event of the last one is on disk, so that a slow disk costs no memory.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from eventmesh.activator.sources.outbox import Outbox
from eventmesh.activator.sources.sinks import source_key
from eventmesh.base import log
from eventmesh.base.backoff import Backoff
from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.kube.api import Api, ApiError, EventType, Object, WatchEvent
from eventmesh.kube.api_server_source import (
    NO_OBJECT,
    WATCHED_ANNOTATION,
    ApiServerWatch,
    Watched,
    parse_api_server_source,
)
from eventmesh.kube.informer import FIRST_RETRY_S, RETRY_CAP_S, Informer
from eventmesh.kube.objects import is_deleting, key_of
from eventmesh.kube.resources import API_SERVER_SOURCE
from eventmesh.kube.status import is_ready

_log = log.get("activator.sources.api_server")


@dataclass(slots=True)
class _Running:
    watch: ApiServerWatch
    versions: dict[Watched, str]
    """How far each watch is; whatever takes its place goes on from there."""
    began: list[asyncio.Event] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class ApiServerSources:
    """Runs every ApiServerSource that has a sink."""

    def __init__(self, api: Api, sources: Informer, outbox: Outbox, clock: Clock) -> None:
        self._api = api
        self._sources = sources
        self._outbox = outbox
        self._clock = clock
        self._running: dict[str, _Running] = {}
        self._tasks = TaskGroup("apiserver")

    def start(self) -> None:
        """Begin to watch."""
        self._sources.add_handler(self._changed)

    async def stop(self) -> None:
        """Watch no more."""
        await self._tasks.stop()

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and not is_deleting(new) and not _is_judged(new):
            # What was watched goes on, and nothing more, until it is known whether its account may read that.
            return
        uid = (new or old or {})["metadata"]["uid"]
        wanted = _compile(new) if new is not None else None
        running = self._running.pop(uid, None)
        if running is not None and running.watch == wanted:
            self._running[uid] = running
            if running.watch.generation != wanted.generation:
                # What changed is none of ours, yet its author waits to hear that this generation is watched too.
                running.watch = wanted
                running.tasks.append(self._tasks.spawn("told", self._tell(wanted, running.began)))
            return
        if running is not None:
            for task in running.tasks:
                task.cancel()
        if new is None:
            self._outbox.closed(uid)
        if wanted is not None:
            known = running.versions if running is not None else {}
            self._running[uid] = self._begin(wanted, {w: known[w] for w in wanted.watched if w in known})

    def _begin(self, watch: ApiServerWatch, versions: dict[Watched, str]) -> _Running:
        running = _Running(watch, versions)
        for watched in watch.watched:
            began = asyncio.Event()
            running.began.append(began)
            name = f"{watch.namespace}/{watch.name} {watched.resource.plural}"
            running.tasks.append(self._tasks.spawn(name, self._watch(watch, watched, versions, began)))
        running.tasks.append(self._tasks.spawn("told", self._tell(watch, running.began)))
        return running

    async def _tell(self, watch: ApiServerWatch, began: list[asyncio.Event]) -> None:
        """Say in the source's status, once everything is watched, that it is."""
        for event in began:
            await event.wait()
        change = {"status": {"annotations": {WATCHED_ANNOTATION: str(watch.generation)}}}
        backoff = Backoff(FIRST_RETRY_S, RETRY_CAP_S)
        while True:
            try:
                await self._api.patch(API_SERVER_SOURCE, watch.name, change, watch.namespace, subresource="status")
            except (ApiError, UnavailableError) as error:
                if isinstance(error, ApiError) and error.not_found:
                    return
                _log.warning("status not written", source=f"{watch.namespace}/{watch.name}", reason=error)
                await self._clock.sleep(backoff.next_s())
            else:
                return

    async def _watch(
        self, watch: ApiServerWatch, watched: Watched, versions: dict[Watched, str], began: asyncio.Event
    ) -> None:
        """List to learn where to begin, then watch from there, again and again."""
        await self._outbox.open(watch.uid, source_key(API_SERVER_SOURCE, watch.namespace, watch.name))
        backoff = Backoff(FIRST_RETRY_S, RETRY_CAP_S)
        where = {"source": f"{watch.namespace}/{watch.name}", "resource": watched.resource.plural}
        while True:
            try:
                if watched not in versions:
                    listed = await self._api.list(watched.resource, field_selector=NO_OBJECT)
                    versions[watched] = listed.resource_version
                began.set()
                _log.info("watching", **where)
                async for event in self._api.watch(
                    watched.resource, resource_version=versions[watched], label_selector=watched.labels
                ):
                    backoff.reset()
                    await self._send(watch, watched, event)
                    versions[watched] = event.object["metadata"].get("resourceVersion", versions[watched])
            except ApiError as error:
                # Forgotten by the server: what changed meanwhile is lost, and the log says so.
                _log.warning("watch refused", reason=error.message, **where)
                versions.pop(watched, None)
            except UnavailableError as error:
                _log.warning("API not reachable", reason=error, **where)
            await self._clock.sleep(backoff.next_s())

    async def _send(self, watch: ApiServerWatch, watched: Watched, change: WatchEvent) -> None:
        if change.type is EventType.BOOKMARK or not watch.wants(change.object):
            return
        attributes, data = watch.message(change.type, watched, change.object)
        try:
            event = Event(attributes, data)
        except InvalidEvent as error:
            _log.error("change not sent", source=f"{watch.namespace}/{watch.name}", reason=error)
            return
        key = source_key(API_SERVER_SOURCE, watch.namespace, watch.name)
        await self._outbox.put(watch.uid, key, event)


def _is_judged(source: Object) -> bool:
    """Return whether the status is that of the spec as it is now."""
    return bool((source.get("status") or {}).get("observedGeneration") == source["metadata"].get("generation"))


def _compile(source: Object) -> ApiServerWatch | None:
    status = source.get("status") or {}
    if is_deleting(source) or not status.get("sinkUri") or "namespaces" not in status:
        return None
    if not is_ready(source, "SufficientPermissions"):
        # The activator would watch with its own rights, and tell whoever made the source what they may not read.
        return None
    try:
        return parse_api_server_source(source)
    except ConfigError as error:
        # Told in the source's conditions by its controller.
        _log.warning("source does not run", source=key_of(source), reason=error)
        return None
