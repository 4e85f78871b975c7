"""Making the objects that another object owns what they should be: created, updated, left alone, refused."""

from __future__ import annotations

from collections.abc import Iterable

from eventmesh.base import log
from eventmesh.base.errors import MeshError
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import annotations_of, is_controlled_by, labels_of

_log = log.get("controllers.children")


class NotOwned(MeshError):
    """An object of that name exists and belongs to somebody else; the owner's condition says so."""

    def __init__(self, resource: Resource, name: str) -> None:
        super().__init__(f'There is an existing {resource.kind} "{name}" that we do not own.')


class Children:
    """Writes what owners want, and only where it differs from what is there."""

    def __init__(self, api: Api, recorder: EventRecorder | None = None) -> None:
        """With a `recorder`, the owner of what is created is told by an Event."""
        self._api = api
        self._recorder = recorder

    async def ensure(
        self,
        cache: Informer,
        desired: Object,
        owner: Object,
        *,
        kept_annotations: Iterable[str] = (),
        kept_labels: Iterable[str] = (),
        kept_spec: Iterable[str] = (),
        exact: bool = False,
    ) -> Object:
        """Return the stored object after it was made `desired`; raises NotOwned.

        Labels, annotations and `spec` are replaced when they differ. What `kept_annotations`, `kept_labels` and
        `kept_spec` name is another's: it is set on creation and stays from then on, whatever `desired` says. Fields of
        `spec` that the server fills in are no difference, unless `exact`: what `desired` says no more then goes.
        """
        resource = cache.resource
        metadata = desired["metadata"]
        stored = cache.get(metadata["name"], metadata["namespace"])
        if stored is None:
            try:
                created = await self._api.create(resource, desired, metadata["namespace"])
                if self._recorder is not None:
                    message = f'Created {resource.kind} "{metadata["name"]}"'
                    await self._recorder.record(owner, EventKind.NORMAL, "Created", message)
                return created
            except ApiError as error:
                if not error.already_exists:
                    raise
            # Made a moment ago, perhaps by this controller: the cache does not know it yet.
            stored = await self._api.get(resource, metadata["name"], metadata["namespace"])
        if not is_controlled_by(stored, owner):
            raise NotOwned(resource, metadata["name"])
        kept = {field: stored["spec"][field] for field in kept_spec if field in stored["spec"]}
        if kept:
            desired = {**desired, "spec": {**desired["spec"], **kept}}
        labels = {key: value for key, value in labels_of(stored).items() if key in frozenset(kept_labels)}
        if labels:
            desired = {**desired, "metadata": {**desired["metadata"], "labels": {**labels_of(desired), **labels}}}
        wanted = _with(stored, desired, frozenset(kept_annotations), exact)
        if wanted == stored:
            return stored
        return await self._api.replace(resource, wanted)

    async def delete(self, resource: Resource, obj: Object) -> None:
        """Delete this very incarnation of `obj`; that it is gone already is as well."""
        metadata = obj["metadata"]
        try:
            await self._api.delete(resource, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except ApiError as error:
            if not error.not_found:
                raise


def _with(stored: Object, desired: Object, kept: frozenset[str], exact: bool) -> Object:
    """Return `stored` with what `desired` says; `stored` itself when it says that already."""
    annotations = {key: value for key, value in annotations_of(stored).items() if key in kept}
    annotations |= annotations_of(desired)
    labels = labels_of(desired)
    same_spec = stored.get("spec") == desired.get("spec")
    if not exact:
        same_spec = same_spec or covers(stored.get("spec"), desired.get("spec"))
    if same_spec and labels_of(stored) == labels and annotations_of(stored) == annotations:
        return stored
    metadata = {**stored["metadata"], "labels": labels, "annotations": annotations}
    changed = {**stored, "metadata": metadata}
    return changed if same_spec else {**changed, "spec": desired["spec"]}


def covers(stored: object, desired: object) -> bool:
    """Return whether `stored` says everything that `desired` says; more fields in a map are no difference."""
    if isinstance(desired, dict):
        if not isinstance(stored, dict):
            # An empty map and an absent one mean the same.
            return not desired and stored is None
        # What is equal is nearly everything, and quicker to see than to walk.
        return all(stored.get(key) == value or covers(stored.get(key), value) for key, value in desired.items())
    if isinstance(desired, list):
        if not isinstance(stored, list) or len(stored) != len(desired):
            return not desired and not stored
        return all(covers(old, new) for old, new in zip(stored, desired, strict=True))
    return stored == desired
