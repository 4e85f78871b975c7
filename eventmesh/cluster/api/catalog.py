"""What is served: every kind with its names, subresources, schema and columns; built-in or from a CRD."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object, Resource

if TYPE_CHECKING:
    # Only with a CRD that has rules: see `rules`.
    from eventmesh.cluster.api.rules import Ruled

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@frozen
class Column:
    """One printed column; `path` is JSONPath into the object (`.status.url`)."""

    name: str
    path: str = ""
    type: str = "string"
    priority: int = 0
    """Above zero: only shown by `-o wide`."""
    description: str = ""


@frozen
class ScalePaths:
    """Where a kind keeps what its `scale` subresource shows, as JSONPath; an empty selector = `spec.selector`."""

    spec_replicas: str = ".spec.replicas"
    status_replicas: str = ".status.replicas"
    selector: str = ".status.labelSelector"


class View(Protocol):
    """How a kind is shown whose objects are stored as another."""

    def stored(self, obj: Object) -> Object:
        """Return what is stored for `obj`."""
        ...

    def shown(self, obj: Object) -> Object:
        """Return a stored object as this kind has it."""
        ...

    def selector(self, fields: str) -> str:
        """Return a field selector in the names of what is stored."""
        ...


@frozen
class Served:
    """One kind in one version."""

    resource: Resource
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    has_status: bool = False
    """Whether `status` is a subresource, and so untouched by ordinary writes."""
    has_generation: bool = True
    scale: ScalePaths | None = None
    subresources: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """Further subresources: name, kind, verbs."""
    verbs: tuple[str, ...] = ALL_VERBS
    columns: tuple[Column, ...] = ()
    cells: Callable[[Object, datetime], list[Any]] | None = None
    """For built-in kinds: the row of an object as of a moment, one cell a column."""
    schema: Object | None = None
    """The structural schema of a custom kind; None for built-in kinds."""
    rules: Ruled | None = None
    """What its schema says in CEL."""
    storage_version: str = ""
    """The version objects are stored in; empty = this one."""
    selectable_fields: tuple[str, ...] = ()
    """Fields that a field selector may name beside metadata.name and metadata.namespace."""
    is_custom: bool = False
    caveat: str = ""
    """What a writer should know: the kind is stored but something that a real cluster does with it is not done."""
    computed: Callable[[], list[Object]] | None = None
    """Makes the objects at each reading; None = they are stored. Such a kind is read only, and not watched."""
    view_of: str = ""
    """The store's word for the kind that its objects are stored as, by `view`; empty = this one."""
    view: View | None = None
    hidden: bool = False
    """Accepted on create but never stored (reviews); without list or get."""

    def has_part(self, name: str) -> bool:
        """Return whether `name` is one of the further subresources."""
        return any(known == name for known, _, _ in self.subresources)

    @property
    def kind_key(self) -> str:
        """Return the store's word for the kind, the same in every version."""
        if self.view_of:
            return self.view_of
        return self.resource.group_resource

    @property
    def stored_api_version(self) -> str:
        """Return the apiVersion that stored objects carry."""
        if not self.storage_version:
            return self.resource.api_version
        return f"{self.resource.group}/{self.storage_version}"


class Catalog:
    """The kinds served now. Changes when CRDs do; `generation` counts the changes."""

    def __init__(self, served: Iterable[Served]) -> None:
        self._served: dict[tuple[str, str, str], Served] = {}
        self._by_kind: dict[tuple[str, str], Served] = {}
        self._by_kind_key: dict[str, Served] = {}
        self.generation = 0
        for entry in served:
            self.add(entry)

    def add(self, served: Served) -> None:
        """Serve `served`, in place of what had its name."""
        resource = served.resource
        self._served[resource.group, resource.version, resource.plural] = served
        self._by_kind[resource.api_version, resource.kind] = served
        if served.stored_api_version == resource.api_version and served.view is None:
            self._by_kind_key[served.kind_key] = served
        self.generation += 1

    def remove(self, group: str, plural: str) -> None:
        """Serve no version of the kind any more."""
        for key in [key for key in self._served if (key[0], key[2]) == (group, plural)]:
            served = self._served.pop(key)
            self._by_kind.pop((served.resource.api_version, served.resource.kind), None)
            self._by_kind_key.pop(served.kind_key, None)
        self.generation += 1

    def find(self, group: str, version: str, plural: str) -> Served | None:
        """Return the kind under that path, or None."""
        return self._served.get((group, version, plural))

    def of(self, resource: Resource) -> Served | None:
        """Return the served kind of a client's `Resource`, or None."""
        return self.find(resource.group, resource.version, resource.plural)

    def by_kind(self, api_version: str, kind: str) -> Served | None:
        """Return the kind that an object or owner reference names, or None."""
        return self._by_kind.get((api_version, kind))

    def by_kind_key(self, kind_key: str) -> Served | None:
        """Return the storage version of the kind that the store calls `kind_key`, or None."""
        return self._by_kind_key.get(kind_key)

    def group_versions(self) -> dict[str, list[str]]:
        """Return group -> versions, both in order of preference.

        Built-in groups come before custom ones, so that `kubectl get ingress` means the same as everywhere;
        stable versions before beta and alpha, newer before older.
        """
        found: dict[str, list[str]] = {}
        custom: set[str] = set()
        for (group, version, _), served in self._served.items():
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
            if served.is_custom:
                custom.add(group)
        groups = sorted(found, key=lambda group: (group in custom, group if group in custom else ""))
        return {group: sorted(found[group], key=version_rank) for group in groups}

    def in_version(self, group: str, version: str) -> list[Served]:
        """Return the kinds of one group and version."""
        return [served for key, served in self._served.items() if key[:2] == (group, version)]


def version_rank(version: str) -> tuple[int, int, int]:
    """Return a key that sorts v2 before v1 before v1beta2 before v1alpha1, as Kubernetes prefers them."""
    digits = version.removeprefix("v")
    for stage, name in ((1, "beta"), (2, "alpha")):
        major, found, minor = digits.partition(name)
        if found:
            return stage, -_number(major), -_number(minor)
    return 0, -_number(digits), 0


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
