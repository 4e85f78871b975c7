"""Reading: one object, many, those of an earlier version, and what changes from now on.

Objects returned are shared with the store: copy before changing.
"""

from __future__ import annotations

from collections.abc import Callable

from eventmesh.base.errors import ConfigError, MeshError
from eventmesh.cluster.api import errors
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.watching import ObjectWatch, Selection, bookmark
from eventmesh.cluster.store.store import CompactedError, FutureRevisionError, Key, Store, Stored
from eventmesh.kube.api import ApiError, EventType, Object, WatchEvent
from eventmesh.kube.selectors import FieldSelector, LabelSelector


class Reader:
    """Every kind's reading verbs."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, served: Served, name: str, namespace: str = "") -> Object:
        """Return the object; raises ApiError NotFound."""
        if served.computed is not None:
            found = _among(served.computed(), namespace, name)
            if not found:
                raise errors.not_found(served.resource, name)
            return found[0]
        return self._convert(served)(self.load(served, name, namespace).object)

    def load(self, served: Served, name: str, namespace: str) -> Stored:
        """Return the object as stored; raises ApiError NotFound."""
        stored = self.store.get(Key(served.kind_key, namespace, name))
        if stored is None:
            raise errors.not_found(served.resource, name)
        return stored

    def list(self, served: Served, namespace: str, selection: Selection, revision: int | None = None) -> list[Object]:
        """Return the selected objects of `namespace` (empty = all), sorted; as of `revision` (None = now).

        Raises ApiError: 410 when that revision is forgotten, 504 when it is yet to come.
        """
        convert = self._convert(served)
        if served.computed is not None:
            objects = _among(served.computed(), namespace)
        elif revision is None:
            objects = self.store.list(served.kind_key, namespace)
        else:
            try:
                objects = self.store.list_at(served.kind_key, revision, namespace)
            except (CompactedError, FutureRevisionError) as error:
                raise self._no_such_revision(error, revision) from error
        return [convert(obj) for obj in objects if selection.matches(obj)]

    def as_stored(self, served: Served, obj: Object) -> bytes | None:
        """Return an object that `list` gave as JSON; None: it is not given as it is stored, and must be encoded."""
        where = obj["metadata"]
        stored = self.store.get(Key(served.kind_key, where.get("namespace", ""), where["name"]))
        return stored.value if stored is not None and stored.object is obj else None

    def _no_such_revision(self, error: MeshError, revision: int) -> ApiError:
        if isinstance(error, FutureRevisionError):
            return errors.too_large_resource_version(revision, self.store.revision)
        return errors.expired(str(error))

    def watch(
        self,
        served: Served,
        namespace: str,
        selection: Selection,
        *,
        after: int | None,
        initial_events: bool = False,
        ends_initial: bool = False,
    ) -> ObjectWatch:
        """Watch from the version `after` (None = from now); with `initial_events` what exists comes first.

        With `ends_initial` a bookmark says when that is done.

        Raises ApiError: 410 when `after` is forgotten, 504 when it is yet to come.
        """
        try:
            watch = self.store.watch(served.kind_key, namespace, after)
        except (CompactedError, FutureRevisionError) as error:
            raise self._no_such_revision(error, after or 0) from error
        initial: list[WatchEvent] = []
        if initial_events:
            present = self.list(served, namespace, selection)
            initial = [WatchEvent(EventType.ADDED, obj) for obj in present]
            resource, revision = served.resource, self.store.revision
            initial.append(bookmark(resource.kind, resource.api_version, revision, initial_end=ends_initial))
        return ObjectWatch(watch, selection, self._convert(served), initial)

    def selection(self, served: Served, label_selector: str = "", field_selector: str = "") -> Selection:
        """Return the parsed selectors; raises ApiError 400 for one that cannot be read or is not supported."""
        if served.view is not None:
            field_selector = served.view.selector(field_selector)
        try:
            fields = FieldSelector.parse(field_selector)
            labels = LabelSelector.parse(label_selector)
        except ConfigError as error:
            raise errors.bad_request(f"unable to parse requirement: {error}") from error
        allowed = {"metadata.name", "metadata.namespace", *served.selectable_fields}
        for clause in fields.clauses:
            if clause.path not in allowed:
                raise errors.bad_request(f"field label not supported: {clause.path}")
        return Selection(labels, fields)

    def _convert(self, served: Served) -> Callable[[Object], Object]:
        if served.view is not None:
            return served.view.shown
        version = served.resource.api_version
        if version == served.stored_api_version:
            return _same
        return lambda obj: {**obj, "apiVersion": version}


def _among(objects: list[Object], namespace: str, name: str = "") -> list[Object]:
    """Return those of a namespace (empty = any), and of a name if one is given."""
    return [
        obj
        for obj in objects
        if namespace in ("", obj["metadata"].get("namespace")) and name in ("", obj["metadata"]["name"])
    ]


def _same(obj: Object) -> Object:
    return obj
