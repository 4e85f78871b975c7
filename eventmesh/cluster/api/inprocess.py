"""`kube.api.Api` straight on the registry, for controllers that live in the process of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator

from eventmesh.base import log
from eventmesh.cluster.api import errors
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.deletion import DeleteOptions, Deleter
from eventmesh.cluster.api.identity import ADMIN_GROUPS
from eventmesh.cluster.api.registry import Registry
from eventmesh.cluster.api.reviews import Reviews
from eventmesh.cluster.api.structural import clone_object
from eventmesh.cluster.api.tokens import TokenIssuer
from eventmesh.cluster.api.writing import WriteOptions, Written
from eventmesh.cluster.store.store import WatchOverflowError
from eventmesh.kube.api import Object, ObjectList, PatchType, Propagation, Resource, WatchEvent
from eventmesh.kube.resources import SERVICE_ACCOUNT

_log = log.get("cluster.inprocess")


class InProcessApi:
    """The verbs without a wire. What is handed in is copied; what is handed out is shared: copy before changing."""

    def __init__(self, registry: Registry, deleter: Deleter, user: str, tokens: TokenIssuer, reviews: Reviews) -> None:
        self._registry = registry
        self._deleter = deleter
        # Whoever lives in this process could write to the store itself.
        self._options = WriteOptions(user=user, groups=ADMIN_GROUPS)
        self._tokens = tokens
        self._reviews = reviews

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """Return the object; raises ApiError NotFound."""
        return self._registry.get(self._served(resource), name, self._space(resource, namespace))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList:
        """Return every matching object as of one version."""
        served = self._served(resource)
        selection = self._registry.selection(served, label_selector, field_selector)
        items = self._registry.list(served, namespace or "", selection)
        return ObjectList(items, str(self._registry.store.revision))

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Yield changes after `resource_version` (empty or 0: what exists comes first, as added), without end."""
        served = self._served(resource)
        selection = self._registry.selection(served, label_selector, field_selector)
        from_start = resource_version in ("", "0")
        after = None if from_start else int(resource_version)
        watch = self._registry.watch(served, namespace or "", selection, after=after, initial_events=from_start)
        try:
            while True:
                yield await watch.next()
        except WatchOverflowError as error:
            raise errors.expired(str(error)) from error
        finally:
            watch.close()

    async def create(
        self, resource: Resource, obj: Object, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        """Create and return the stored object; a review or a TokenRequest is answered and not stored."""
        served = self._served(resource)
        if served.hidden and not resource.namespaced:
            return self._reviews.answer(served, obj, self._options.writer)
        space = self._space(resource, namespace or obj.get("metadata", {}).get("namespace"))
        if served.hidden:
            return self._reviews.answer(served, obj, self._options.writer, space)
        if subresource is not None:
            if (served.kind_key, subresource) != (SERVICE_ACCOUNT.plural, "token"):
                raise errors.no_such_path()
            return self._tokens.request(self._registry.get(served, obj["metadata"]["name"], space), obj)
        with errors.as_not_stored():
            return self._written(served, self._registry.create(served, clone_object(obj), space, self._options))

    async def replace(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        """Replace the object (or its status) and return it as stored."""
        served = self._served(resource)
        is_status, part = self._is_status(served, subresource), subresource or ""
        name, space = obj["metadata"]["name"], self._space(resource, obj["metadata"].get("namespace"))
        with errors.as_not_stored():
            written = self._registry.update(
                served, clone_object(obj), name, space, self._options, status=is_status, subresource=part
            )
        return self._written(served, written)

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
        """Patch the object (or its status, or its scale) and return it as stored."""
        served = self._served(resource)
        space = self._space(resource, namespace)
        if subresource == "scale":
            with errors.as_not_stored():
                return self._registry.patch_scale(served, patch, patch_type, name, space, self._options)
        is_status, part = self._is_status(served, subresource), subresource or ""
        with errors.as_not_stored():
            written = self._registry.patch(
                served, patch, patch_type, name, space, self._options, status=is_status, subresource=part
            )
        return self._written(served, written)

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
        """Delete the object, or mark it deleting while somebody holds it."""
        served = self._served(resource)
        options = DeleteOptions(propagation, grace_seconds, uid)
        with errors.as_not_stored():
            self._deleter.delete(served, name, self._space(resource, namespace), options)

    def _served(self, resource: Resource) -> Served:
        served = self._registry.catalog.of(resource)
        if served is None:
            raise errors.no_such_path()
        return served

    def _space(self, resource: Resource, namespace: str | None) -> str:
        if not resource.namespaced:
            return ""
        if not namespace:
            raise errors.bad_request(f"an object of {resource.group_resource} needs a namespace")
        return namespace

    def _is_status(self, served: Served, subresource: str | None) -> bool:
        match subresource:
            case None:
                return False
            case "status" if served.has_status:
                return True
            case "approval" if served.has_part("approval"):
                return True
            case _:
                raise errors.no_such_path()

    def _written(self, served: Served, written: Written) -> Object:
        for warning in written.warnings:
            # Our own controllers should write nothing that is dropped, or that nobody acts on.
            _log.warning("write has a caveat", kind=served.resource.kind, warning=warning)
        return written.object
