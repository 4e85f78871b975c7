"""The store: compare-and-swap writes, reads from memory, watches that are pushed as the write returns.

Objects handed out and pushed are shared and must not be changed; objects handed in become the store's.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.cluster.store.history import History, Row, StorageError, StoreCorruptError
from eventmesh.cluster.store.outage import Outage

_log = log.get("cluster.store")

HISTORY_KEPT_S = 600.0
"""A client that lost its watch comes back with the version it began from (kn does, after up to 10 minutes)."""
COMPACT_EVERY_S = 60.0
COMPACT_REVISIONS = 500
"""Forgotten in one go, some ten milliseconds: whoever waits for the API waits for a step, not for the whole minute."""
DECODED_TOGETHER = 500
"""Rows read as one JSON text on opening: the names of fields are then one string each for all of them, and not one an
object, which is a quarter of the memory that a thousand revisions take."""
MAX_OBJECT_BYTES = 1_572_864
"""1.5 MiB, etcd's request limit: what a real cluster refuses must be refused here."""
MAX_WATCH_BACKLOG = 10_000
"""Changes a watcher may fall behind before it is cut off; it lists again, and memory stays bounded."""

EVERY_KIND = ""
"""Watching this kind gives the changes of all; only from now on."""

Object = dict[str, Any]


class Key(NamedTuple):
    """Where an object lies: `Key("services.serving.knative.dev", "shop", "cart")`; no namespace = empty."""

    kind: str
    namespace: str
    name: str


@frozen
class Stored:
    """An object with the revision that wrote it."""

    revision: int
    object: Object
    value: bytes
    """The object as JSON, as it is on disk: long lists are put together of these, in a sixth of the time that encoding
    them anew takes, for some kilobytes of memory an object."""


class ChangeType(Enum):
    """What a write did to its key."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@frozen
class Change:
    """One write: the object after it (for a deletion as it last was), and before it."""

    type: ChangeType
    revision: int
    key: Key
    object: Object
    previous: Object | None


class RevisionConflictError(MeshError):
    """The key is not at the revision the writer started from; read again and decide again."""


class CompactedError(MeshError):
    """History before the asked revision is gone; list, and watch from the list's revision."""


class FutureRevisionError(MeshError):
    """The asked revision has not been given yet (the store was reset, or the client talks to another one)."""


class ObjectTooLargeError(MeshError):
    """The object is larger than MAX_OBJECT_BYTES."""


class WatchOverflowError(MeshError):
    """The watcher fell more than MAX_WATCH_BACKLOG changes behind and has been cut off."""


class Watch:
    """The changes of one kind, in order. Iterate with `next`; always `close` it."""

    def __init__(self, store: Store, kind: str, namespace: str) -> None:
        self._store = store
        self._kind = kind
        self._namespace = namespace
        self._changes: deque[Change] = deque()
        self._arrived = asyncio.Event()
        self._overflowed = False

    async def next(self) -> Change:
        """Return the next change; raises WatchOverflowError when the reader was too slow."""
        while not self._changes:
            if self._overflowed:
                raise WatchOverflowError(f"watch of {self._kind} fell more than {MAX_WATCH_BACKLOG} changes behind")
            self._arrived.clear()
            await self._arrived.wait()
        return self._changes.popleft()

    def poll(self) -> Change | None:
        """Return the next change if one has arrived, else None."""
        return self._changes.popleft() if self._changes else None

    def close(self) -> None:
        """Stop receiving."""
        self._store._unsubscribe(self._kind, self)

    def _push(self, change: Change) -> None:
        if self._overflowed or (self._namespace and change.key.namespace != self._namespace):
            return
        if len(self._changes) >= MAX_WATCH_BACKLOG:
            self._overflowed = True
            self._changes.clear()
        else:
            self._changes.append(change)
        self._arrived.set()


class Store:
    """Every object of the embedded cluster. All methods are immediate; call them from the event loop only."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        """Open the store in `directory`; raises UnavailableError (in use), StorageError and StoreCorruptError."""
        self._clock = clock
        self._outage = Outage(clock)
        self._history = History(directory)
        self._objects: dict[str, dict[tuple[str, str], Stored]] = defaultdict(dict)
        self._tombstones: dict[Key, int] = {}
        self._watches: dict[str, list[Watch]] = defaultdict(list)
        try:
            self._load()
        except BaseException:
            self._history.close()
            raise

    def _load(self) -> None:
        self._floor = self._history.floor()
        self._revision = self._history.last_revision()
        rows = self._history.current()
        while batch := list(islice(rows, DECODED_TOGETHER)):
            for row, obj in zip(batch, _decode_all(batch), strict=True):
                if row.deleted:
                    self._tombstones[Key(row.kind, row.namespace, row.name)] = row.revision
                else:
                    self._objects[row.kind][row.namespace, row.name] = Stored(row.revision, obj, row.value)

    def close(self) -> None:
        """Close the file; the store must not be used afterwards."""
        self._history.close()

    def failure(self) -> str:
        """Return why the file of the store cannot be read; empty when it can."""
        return self._history.failure()

    @property
    def directory(self) -> Path:
        """Return where the store is; what must live as long as its objects lies beside them."""
        return self._history.path.parent

    @property
    def revision(self) -> int:
        """Return the revision of the latest write; a list made now is as of this revision."""
        return self._revision

    # -- reading

    def get(self, key: Key) -> Stored | None:
        """Return the object at `key`, or None."""
        return self._objects[key.kind].get((key.namespace, key.name))

    def list_at(self, kind: str, revision: int, namespace: str = "") -> list[Object]:
        """Return what `list` returned when the store was at `revision`.

        Raises CompactedError when that is too long ago, FutureRevisionError when it is yet to come.
        """
        self._require_history(revision)
        objects = {where: stored.object for where, stored in self._objects[kind].items()}
        if revision != self._revision:
            for row, replaced in reversed(list(self._history.since(revision, kind))):
                if replaced is None:
                    objects.pop((row.namespace, row.name), None)
                else:
                    objects[row.namespace, row.name] = json.loads(replaced)
        wanted = sorted(where for where in objects if not namespace or where[0] == namespace)
        return [objects[where] for where in wanted]

    def list(self, kind: str, namespace: str = "") -> list[Object]:
        """Return the objects of `kind` in `namespace` (empty = all), sorted by namespace and name."""
        objects = self._objects[kind]
        wanted = sorted(where for where in objects if not namespace or where[0] == namespace)
        return [objects[where].object for where in wanted]

    def _require_history(self, revision: int) -> None:
        if revision > self._revision:
            raise FutureRevisionError(f"revision {revision} is past the current revision {self._revision}")
        if revision < self._floor:
            raise CompactedError(f"too old resource version: {revision} ({self._floor})")

    def kinds(self) -> Iterable[str]:
        """Return the kinds that have at least one object."""
        return [kind for kind, objects in self._objects.items() if objects]

    # -- writing

    def put(self, key: Key, obj: Object, expected: int) -> Stored:
        """Store `obj` if the key is still at revision `expected` (0 = absent); return it with its new version.

        `obj` gets `metadata.resourceVersion`. Raises RevisionConflictError, ObjectTooLargeError, StorageError.
        """
        current = self.get(key)
        self._require(key, current, expected)
        type_ = ChangeType.CREATED if current is None else ChangeType.UPDATED
        value = self._append(key, obj, current, deleted=False)
        stored = self._objects[key.kind][key.namespace, key.name] = Stored(self._revision, obj, value)
        self._tombstones.pop(key, None)
        self._announce(Change(type_, self._revision, key, obj, None if current is None else current.object))
        return stored

    def delete(self, key: Key, expected: int, last: Object) -> Stored:
        """Delete the key if it is still at revision `expected`; return `last`, its final state, with its version.

        Raises as `put`.
        """
        current = self.get(key)
        self._require(key, current, expected)
        if current is None:
            raise RevisionConflictError(f"{key.kind} {key.namespace}/{key.name} does not exist")
        value = self._append(key, last, current, deleted=True)
        del self._objects[key.kind][key.namespace, key.name]
        self._tombstones[key] = self._revision
        self._announce(Change(ChangeType.DELETED, self._revision, key, last, current.object))
        return Stored(self._revision, last, value)

    def _require(self, key: Key, current: Stored | None, expected: int) -> None:
        actual = 0 if current is None else current.revision
        if actual != expected:
            raise RevisionConflictError(f"{key.kind} {key.namespace}/{key.name} is at {actual}, not at {expected}")

    def _append(self, key: Key, obj: Object, current: Stored | None, *, deleted: bool) -> bytes:
        revision = self._revision + 1
        obj["metadata"]["resourceVersion"] = str(revision)
        value = json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()
        if len(value) > MAX_OBJECT_BYTES:
            raise ObjectTooLargeError(f"object is {len(value)} bytes long; the limit is {MAX_OBJECT_BYTES}")
        previous = self._tombstones.get(key, 0) if current is None else current.revision
        row = Row(revision, key.kind, key.namespace, key.name, previous, deleted, value)
        try:
            self._history.append(row, self._clock.now().timestamp())
        except StorageError as error:
            self._outage.refused(error)
            raise
        self._outage.stored()
        self._revision = revision
        return value

    def _announce(self, change: Change) -> None:
        for watch in self._watches[change.key.kind] + self._watches[EVERY_KIND]:
            watch._push(change)

    # -- watching

    def watch(self, kind: str, namespace: str = "", after: int | None = None) -> Watch:
        """Return the changes of `kind` after the revision `after` (None = from now on).

        Raises CompactedError when that is too long ago, FutureRevisionError when it is yet to come.
        """
        watch = Watch(self, kind, namespace)
        if after is not None and after != self._revision:
            self._require_history(after)
            for row, replaced in self._history.since(after, kind):
                watch._push(_change(row, replaced))
        self._watches[kind].append(watch)
        return watch

    def _unsubscribe(self, kind: str, watch: Watch) -> None:
        if watch in self._watches[kind]:
            self._watches[kind].remove(watch)

    # -- keeping it small

    async def maintain(self) -> None:
        """Compact every minute until cancelled."""
        while True:
            await self._clock.sleep(COMPACT_EVERY_S)
            try:
                await self.compact_old()
                await asyncio.to_thread(self._history.checkpoint)
            except StorageError as error:
                self._outage.refused(error)

    async def compact_old(self) -> None:
        """Forget the history that is older than HISTORY_KEPT_S, in steps between which others have their turn."""
        end = self._history.revision_before(self._clock.now().timestamp() - HISTORY_KEPT_S)
        while self._floor < end:
            self.compact(min(end, self._floor + COMPACT_REVISIONS))
            await self._clock.sleep(0)

    def compact(self, floor: int) -> None:
        """Forget history up to the revision `floor`; watches that begin before it are refused from now on."""
        if floor <= self._floor:
            return
        removed = self._history.compact(floor)
        self._floor = floor
        self._tombstones = {key: revision for key, revision in self._tombstones.items() if revision > floor}
        _log.debug("history compacted", floor=floor, rows=removed)


def _decode_all(rows: Sequence[Row]) -> list[Object]:
    """Return the objects of `rows`; raises StoreCorruptError naming the row that holds none."""
    try:
        objects = json.loads(b"[" + b",".join(row.value for row in rows) + b"]")
    except ValueError:
        objects = []
    if len(objects) == len(rows) and all(isinstance(obj, dict) for obj in objects):
        return list(objects)
    return [_decode(row) for row in rows]


def _decode(row: Row) -> Object:
    try:
        obj = json.loads(row.value)
    except ValueError as error:
        raise StoreCorruptError(
            f"revision {row.revision} ({row.kind} {row.namespace}/{row.name}) is not JSON: {error}; "
            "restore the data directory from a backup, or move it away to start with an empty cluster"
        ) from error
    if not isinstance(obj, dict):
        raise StoreCorruptError(f"revision {row.revision} ({row.kind} {row.namespace}/{row.name}) is not an object")
    return obj


def _change(row: Row, replaced: bytes | None) -> Change:
    key = Key(row.kind, row.namespace, row.name)
    previous: Object | None = None if replaced is None else json.loads(replaced)
    written = ChangeType.CREATED if previous is None else ChangeType.UPDATED
    return Change(ChangeType.DELETED if row.deleted else written, row.revision, key, _decode(row), previous)
