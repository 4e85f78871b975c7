"""What controllers and control need of a Kubernetes API, embedded or real."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from enum import Enum
from typing import Any, Protocol

from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen

_DENIED = re.compile(r'admission webhook "[^"]*" denied the request')
"""How the API tells of a webhook that refuses an object (`apiserver/pkg/admission/plugin/webhook/errors`)."""

Object = dict[str, Any]
"""A Kubernetes object as JSON. `Any` because its shape is the API's, not ours."""


@frozen
class Resource:
    """One kind, as a path and as a name: `Resource("serving.knative.dev", "v1", "services", "Service")`."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return `group/version`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """Return `plural.group`, or `plural` for the core group: the kind's name in every version."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the REST path of the collection, of one object, or of its subresource."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


@frozen
class ObjectList:
    """A consistent list: watch from `resource_version` to miss nothing."""

    items: list[Object]
    resource_version: str


class EventType(Enum):
    """What happened to a watched object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


@frozen
class WatchEvent:
    """One line of a watch."""

    type: EventType
    object: Object


class PatchType(Enum):
    """The patch media types of the API."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class Propagation(Enum):
    """What becomes of an object's dependents."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


class ApiError(MeshError):
    """A `Status` failure. `reason` is the machine-readable word: NotFound, AlreadyExists, Conflict, Invalid, ..."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.warnings: tuple[str, ...] = ()
        """What the writer was to be warned of all the same, such as fields that nobody knows."""

    @property
    def not_found(self) -> bool:
        """True when the object (not the path) does not exist."""
        return self.reason == "NotFound"

    @property
    def conflict(self) -> bool:
        """True when the object changed since it was read: read again and try again."""
        return self.reason == "Conflict"

    @property
    def already_exists(self) -> bool:
        """True when a create met an object of that name."""
        return self.reason == "AlreadyExists"

    @property
    def server_fault(self) -> bool:
        """True when nothing was wrong with what was asked: the same may go well later (no room, no leader, a bug).

        A webhook that says no says so to what was asked, whichever code it gives.
        """
        return self.code >= 500 and _DENIED.match(self.message) is None

    @property
    def gone(self) -> bool:
        """True when a resourceVersion is too old: list again."""
        return self.code == 410


class Api(Protocol):
    """The verbs. Every one may raise ApiError; network trouble is UnavailableError.

    Objects handed out are the caller's to keep but shared with caches: copy before changing.
    """

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """Return the object; raises ApiError NotFound."""
        ...

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList:
        """Return every matching object, of all namespaces when `namespace` is None."""
        ...

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Yield every change after `resource_version`, bookmarks included, until the server ends the watch.

        Raises ApiError with `gone` when that version is too old.
        """
        ...

    async def create(
        self, resource: Resource, obj: Object, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        """Create and return the stored object.

        With `subresource`: POST `obj` there, of the object of `resource` that `obj`'s metadata names, and return the
        answer (a TokenRequest to `token` of a service account).
        """
        ...

    async def replace(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        """PUT `obj` (its metadata names it); raises ApiError Conflict when its resourceVersion is stale."""
        ...

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: object,
        namespace: str | None = None,
        *,
        patch_type: PatchType = PatchType.MERGE,
        subresource: str | None = None,
    ) -> Object:
        """Patch and return the stored object."""
        ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete; with `uid` only that incarnation. Raises ApiError NotFound.

        A pod stays, marked, until its runtime deletes it with `grace_seconds=0`; None is the pod's own grace.
        """
        ...
