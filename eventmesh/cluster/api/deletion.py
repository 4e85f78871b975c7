"""Deleting: preconditions, finalizers, grace, and who goes first. The garbage collector does the following."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from eventmesh.base.clock import Clock, rfc3339
from eventmesh.base.frozen import frozen
from eventmesh.cluster.api import errors
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.registry import Registry
from eventmesh.cluster.store.store import Key, Stored
from eventmesh.kube.api import Object, Propagation, Resource

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_FINALIZER = {Propagation.FOREGROUND: FOREGROUND, Propagation.ORPHAN: ORPHAN}


@frozen
class DeleteOptions:
    """`meta/v1 DeleteOptions`."""

    propagation: Propagation | None = None
    """None leaves it at what the object's finalizers say, or else in the background."""
    grace_seconds: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


@frozen
class Deleted:
    """The object as it is now, or as it last was when it is gone."""

    object: Object
    gone: bool


class Deleter:
    """Deletes objects of the registry."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def delete(self, served: Served, name: str, namespace: str, options: DeleteOptions) -> Deleted:
        """Delete the object, or mark it deleting while somebody holds it; raises ApiError NotFound, Conflict."""
        current = self._registry.load(served, name, namespace)
        self._require(served, current.object, options)
        strategy = self._registry.strategy(served)
        obj = {**current.object, "metadata": dict(current.object["metadata"])}
        meta = obj["metadata"]
        finalizers = _finalizers(meta, options.propagation)
        grace = strategy.grace_seconds(obj, options.grace_seconds)
        if finalizers:
            meta["finalizers"] = finalizers
        else:
            meta.pop("finalizers", None)
        self._mark(served, obj, grace)
        strategy.begin_deletion(obj)
        gone = self._registry.is_finished(served, obj)
        if gone and not current.object["metadata"].get("deletionGracePeriodSeconds"):
            # What goes at once is not changed any more: its watchers see it as it last was.
            obj = {**current.object, "metadata": dict(current.object["metadata"])}
        if options.dry_run:
            return Deleted(obj, gone)
        if obj == current.object and not gone:
            return Deleted(current.object, gone)
        self._store(served, obj, current, gone=gone)
        return Deleted(obj, gone)

    def _store(self, served: Served, obj: Object, current: Stored, *, gone: bool) -> None:
        key = Key(served.kind_key, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        strategy = self._registry.strategy(served)
        if gone:
            self._registry.store.delete(key, current.revision, obj)
            strategy.removed(obj)
        else:
            self._registry.store.put(key, obj, current.revision)
            strategy.stored(obj)

    def _mark(self, served: Served, obj: Object, grace: int) -> None:
        meta = obj["metadata"]
        shorter = grace < meta.get("deletionGracePeriodSeconds", grace)
        if "deletionTimestamp" in meta and not shorter:
            return
        if "deletionTimestamp" not in meta and served.has_generation:
            meta["generation"] = meta.get("generation", 0) + 1
        meta["deletionTimestamp"] = rfc3339(self._clock.now() + timedelta(seconds=grace))
        meta["deletionGracePeriodSeconds"] = grace

    def _require(self, served: Served, obj: Object, options: DeleteOptions) -> None:
        meta = obj["metadata"]
        if options.uid is not None and options.uid != meta["uid"]:
            why = (
                f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta['uid']}). "
                "The object might have been deleted and then recreated"
            )
            raise errors.conflict(_by_kind(served.resource), meta["name"], why)
        if options.resource_version is not None and options.resource_version != meta["resourceVersion"]:
            why = (
                f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
                f"ResourceVersion in record ({meta['resourceVersion']}). The object might have been modified"
            )
            raise errors.conflict(_by_kind(served.resource), meta["name"], why)


def _by_kind(resource: Resource) -> Resource:
    """Return the kind as the refusal of a delete names it: in the singular."""
    return replace(resource, plural=resource.kind)


def _finalizers(meta: Object, propagation: Propagation | None) -> list[str]:
    """Return the finalizers of an object once it is deleted so; the last who says how is obeyed, as upstream."""
    present: list[str] = meta.get("finalizers") or []
    if propagation is None:
        return list(present)
    others = [name for name in present if name not in _FINALIZER.values()]
    return [*others, _FINALIZER[propagation]] if propagation in _FINALIZER else others
