"""The level-based loop of a controller: keys come from informers, `reconcile(key)` makes the world match.

A reconcile reads the caches, compares with what should be, writes the difference, and returns; it never
asks what happened. When it cannot finish it raises TemporaryError (tried again when it says) or
PermanentError (not tried until the object changes); API conflicts and an API out of reach are tried again
by themselves with growing waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import MeshError, PermanentError, TemporaryError, UnavailableError
from eventmesh.base.log_rate import LogRate
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, controller_of, key_of
from eventmesh.kube.queue import QueueClosed, WorkQueue

_log = log.get("kube.reconciler")

CONCURRENCY = 4
"""Keys of one controller worked on at once; a reconcile mostly waits for the API."""

SETTLE_S = 0.01
"""For `watch`: what others do to the objects that a controller watches comes in bursts (a pod that starts changes its
ReplicaSet, that the Deployment, that the Revision, each several times), and most of it only has to be told, once."""

Reconcile = Callable[[Key], Awaitable[None]]
KeyMap = Callable[[Object], Iterable[Key]]
"""Which keys of this controller an object of another kind concerns."""


class Controller:
    """Runs `reconcile` for every key of its primary kind whenever something that concerns the key changes."""

    def __init__(
        self,
        name: str,
        primary: Informer,
        reconcile: Reconcile,
        clock: Clock,
        *,
        recorder: EventRecorder | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self.name = name
        self._primary = primary
        self._reconcile = reconcile
        self._recorder = recorder
        self._concurrency = concurrency
        self._queue: WorkQueue[Key] = WorkQueue(name, clock)
        self._outage = LogRate(clock)
        self._tasks = TaskGroup(f"controller.{name}")
        self.watch(primary, lambda obj: (key_of(obj),))

    def watch(self, informer: Informer, keys: KeyMap, *, settle_s: float = 0.0) -> None:
        """Reconcile `keys(obj)` whenever an object of `informer` appears, changes or goes.

        With `settle_s` they wait so long for more of the same, and what is urgent goes ahead of them.
        """

        def changed(old: Object | None, new: Object | None) -> None:
            concerned = {key for obj in (old, new) if obj is not None for key in keys(obj)}
            for key in concerned:
                self._queue.add_after(key, settle_s)

        informer.add_handler(changed)

    def watch_controlled(self, informer: Informer, *, settle_s: float = 0.0) -> None:
        """Reconcile an object whenever one that it controls (by owner reference) changes; `settle_s` as for `watch`."""
        mine = controlled_by(self._primary.resource.kind, self._primary.resource.group)
        self.watch(informer, mine, settle_s=settle_s)

    def enqueue(self, key: Key) -> None:
        """Reconcile `key` as soon as a worker is free."""
        self._queue.add(key)

    def enqueue_after(self, key: Key, seconds: float) -> None:
        """Reconcile `key` after `seconds` (a deadline that no object change announces)."""
        self._queue.add_after(key, seconds)

    def start(self) -> None:
        """Begin to work; the informers are expected to have synced."""
        for number in range(self._concurrency):
            self._tasks.spawn(f"worker {number}", self._work())

    async def pause(self) -> None:
        """Stop at the next await of each reconcile in progress; these, and what waits, are done after the next
        `start`."""
        await self._tasks.stop()

    async def stop(self) -> None:
        """Stop at the next await of each reconcile in progress, and drop what waits."""
        await self._queue.close()
        await self._tasks.stop()

    async def _work(self) -> None:
        while True:
            try:
                key = await self._queue.take()
            except QueueClosed:
                return
            try:
                await self._attempt(key)
            except asyncio.CancelledError:
                self._queue.add(key)
                raise
            finally:
                self._queue.done(key)

    async def _attempt(self, key: Key) -> None:
        try:
            await self._reconcile(key)
        except TemporaryError as error:
            _log.debug("will try again", controller=self.name, key=key, reason=error, after_s=error.after_s)
            self._queue.add_after(key, error.after_s)
        except PermanentError as error:
            _log.warning("cannot be reconciled as written", controller=self.name, key=key, reason=error)
            self._queue.forget(key)
            await self._tell(key, str(error))
        except ApiError as error:
            wait = self._queue.add_rate_limited(key)
            if error.server_fault:
                self._tell_outage("the API cannot", key, error, wait)
                return
            # A conflict is the ordinary way of two writers to meet; a not-found often the way of a cache to lag.
            write = _log.debug if error.conflict or error.not_found else _log.warning
            write("refused by the API", controller=self.name, key=key, reason=error.message, after_s=wait)
            if not (error.conflict or error.not_found):
                await self._tell(key, error.message)
        except UnavailableError as error:
            wait = self._queue.add_rate_limited(key)
            self._tell_outage("could not reach what it needs", key, error, wait)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A bug in one reconcile, met by one object, must not stop the controller for all others.
            wait = self._queue.add_rate_limited(key)
            _log.error("reconcile failed", controller=self.name, key=key, after_s=wait, exc_info=error)
        else:
            self._queue.forget(key)

    def _tell_outage(self, what: str, key: Key, error: MeshError, wait_s: float) -> None:
        """Say now and then what all objects meet alike, and no fault of theirs."""
        if self._outage.allows():
            left_out = self._outage.left_out
            _log.warning(what, controller=self.name, key=key, reason=error, after_s=wait_s, left_out=left_out)

    async def _tell(self, key: Key, message: str) -> None:
        obj = self._primary.get(key.name, key.namespace)
        if self._recorder is not None and obj is not None:
            await self._recorder.record(obj, EventKind.WARNING, "InternalError", message)


def controlled_by(kind: str, group: str) -> KeyMap:
    """Return a map from an object to the key of its controlling owner, if that is of this kind and group."""

    def keys(obj: Object) -> Iterable[Key]:
        owner = controller_of(obj)
        if owner is None or owner["kind"] != kind:
            return ()
        owner_group = owner["apiVersion"].rpartition("/")[0]
        return (Key(obj["metadata"].get("namespace") or "", owner["name"]),) if owner_group == group else ()

    return keys
