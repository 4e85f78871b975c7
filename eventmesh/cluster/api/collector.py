"""The garbage collector: what belongs to an owner goes with it (`kubernetes/pkg/controller/garbagecollector`)."""

from __future__ import annotations

from collections import defaultdict

from eventmesh.base import log
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.deletion import FOREGROUND, ORPHAN, DeleteOptions, Deleter
from eventmesh.cluster.api.registry import Registry
from eventmesh.cluster.api.structural import clone
from eventmesh.cluster.api.writing import WriteOptions
from eventmesh.cluster.store.store import Change, ChangeType, Key
from eventmesh.kube.api import ApiError, Object, Propagation

_log = log.get("cluster.collector")

_AS_COLLECTOR = WriteOptions(user="system:serviceaccount:kube-system:generic-garbage-collector")


class GarbageCollector:
    """Follows every change and deletes, orphans or releases dependents. No task of its own: told by `observe`."""

    def __init__(self, registry: Registry, deleter: Deleter) -> None:
        self._registry = registry
        self._deleter = deleter
        self._dependents: dict[str, set[Key]] = defaultdict(set)

    def adopt(self, key: Key, obj: Object) -> None:
        """Take in an object that was there before the first change, and put right what was left undone."""
        for owner in _owners(obj):
            self._dependents[owner["uid"]].add(key)

    def observe(self, change: Change) -> None:
        """Do what follows from one change."""
        for owner in _owners(change.previous):
            self._dependents[owner["uid"]].discard(change.key)
        if change.type is ChangeType.DELETED:
            self._after_deletion(change)
            return
        for owner in _owners(change.object):
            self._dependents[owner["uid"]].add(change.key)
        if change.previous is None or _owners(change.previous) != _owners(change.object):
            self.examine(change.key)
        self.continue_deletion(change.key)

    def _after_deletion(self, change: Change) -> None:
        for key in sorted(self._dependents.pop(change.object["metadata"]["uid"], ())):
            self.examine(key)
        for owner in _owners(change.object):
            found = self._owner(owner, change.key.namespace)
            if found is not None:
                self.continue_deletion(found)

    def examine(self, key: Key) -> None:
        """Delete the object at `key` when all its owners are gone; release it from those that are."""
        obj = self._object(key)
        served = self._registry.catalog.by_kind_key(key.kind)
        if obj is None or served is None or not _owners(obj):
            return
        absent = [owner["uid"] for owner in _owners(obj) if self._is_absent(owner, key.namespace)]
        if not absent:
            return
        if len(absent) == len(_owners(obj)):
            self._delete(served, key, None)
            return
        changed = clone(obj)
        changed["metadata"]["ownerReferences"] = [owner for owner in _owners(obj) if owner["uid"] not in absent]
        self._update(served, changed, key)

    def continue_deletion(self, key: Key) -> None:
        """Carry a foreground or orphaning deletion of the object at `key` one step further."""
        obj = self._object(key)
        served = self._registry.catalog.by_kind_key(key.kind)
        if obj is None or served is None or "deletionTimestamp" not in obj["metadata"]:
            return
        finalizers = obj["metadata"].get("finalizers") or []
        uid = obj["metadata"]["uid"]
        if ORPHAN in finalizers:
            for dependent in sorted(self._dependents.get(uid, ())):
                self._release(dependent, uid)
            self._drop_finalizer(served, key, obj, ORPHAN)
        elif FOREGROUND in finalizers and not self._delete_dependents(uid):
            self._drop_finalizer(served, key, obj, FOREGROUND)

    def _delete_dependents(self, uid: str) -> bool:
        """Delete every dependent of `uid`; return whether one still blocks its owner."""
        blocking = False
        for key in sorted(self._dependents.get(uid, ())):
            obj = self._object(key)
            served = self._registry.catalog.by_kind_key(key.kind)
            if obj is None or served is None:
                continue
            if any(self._keeps(owner, key.namespace) for owner in _owners(obj) if owner["uid"] != uid):
                self._release(key, uid)
                continue
            if "deletionTimestamp" not in obj["metadata"]:
                self._delete(served, key, Propagation.FOREGROUND)
            still_there = self._object(key) is not None
            blocks = any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in _owners(obj))
            blocking = blocking or (still_there and blocks)
        return blocking

    def _release(self, key: Key, uid: str) -> None:
        obj = self._object(key)
        served = self._registry.catalog.by_kind_key(key.kind)
        if obj is None or served is None:
            return
        changed = clone(obj)
        changed["metadata"]["ownerReferences"] = [owner for owner in _owners(obj) if owner["uid"] != uid]
        self._update(served, changed, key)

    def _drop_finalizer(self, served: Served, key: Key, obj: Object, finalizer: str) -> None:
        changed = clone(obj)
        changed["metadata"]["finalizers"] = [name for name in obj["metadata"]["finalizers"] if name != finalizer]
        self._update(served, changed, key)

    def _keeps(self, owner: Object, namespace: str) -> bool:
        """Return whether an owner is there to stay, and so keeps its dependents."""
        found = self._owner(owner, namespace)
        obj = None if found is None else self._object(found)
        return obj is not None and FOREGROUND not in (obj["metadata"].get("finalizers") or ())

    def _is_absent(self, owner: Object, namespace: str) -> bool:
        served = self._registry.catalog.by_kind(owner["apiVersion"], owner["kind"])
        if served is None or (served.resource.namespaced and not namespace):
            # An owner of a kind that is not served (yet) cannot be judged; neither can one that has a namespace, by a
            # dependent that has none.
            return False
        return self._owner(owner, namespace) is None

    def _owner(self, owner: Object, namespace: str) -> Key | None:
        served = self._registry.catalog.by_kind(owner["apiVersion"], owner["kind"])
        if served is None:
            return None
        key = Key(served.kind_key, namespace if served.resource.namespaced else "", owner["name"])
        obj = self._object(key)
        return key if obj is not None and obj["metadata"]["uid"] == owner["uid"] else None

    def _object(self, key: Key) -> Object | None:
        stored = self._registry.store.get(key)
        return None if stored is None else stored.object

    def _delete(self, served: Served, key: Key, propagation: Propagation | None) -> None:
        try:
            self._deleter.delete(served, key.name, key.namespace, DeleteOptions(propagation))
        except ApiError as error:
            if not error.not_found:
                _log.warning("dependent not deleted", object=key, reason=error.message)

    def _update(self, served: Served, obj: Object, key: Key) -> None:
        try:
            self._registry.update(served, obj, key.name, key.namespace, _AS_COLLECTOR)
        except ApiError as error:
            if not error.not_found:
                _log.warning("object not released", object=key, reason=error.message)


def _owners(obj: Object | None) -> list[Object]:
    owners: list[Object] = [] if obj is None else obj["metadata"].get("ownerReferences") or []
    return owners
