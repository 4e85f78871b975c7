"""Subjects of SinkBindings get their variables when they are written: no pod starts without, no apply takes them."""

from __future__ import annotations

from eventmesh.controllers.eventing.binding import bound, is_subject
from eventmesh.kube.admission import Admission, AdmissionRequest, FieldError
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import is_deleting


class Injection:
    """The admission of a kind that bindings may be about, around the kind's own."""

    def __init__(
        self, resource: Resource, inner: Admission | None, bindings: Informer, *, created_only: bool = False
    ) -> None:
        """`inner` is the admission of the kind itself, if it has one; `created_only`: its template never changes."""
        self._resource = resource
        self._created_only = created_only
        self._inner = inner
        self._bindings = bindings

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the object as its own admission makes it, with the variables of every binding about it."""
        made = self._inner.default(obj, request) if self._inner is not None else obj
        if "namespace" not in made["metadata"] or (self._created_only and request.old is not None):
            return made
        for binding in self._bindings.list(made["metadata"]["namespace"]):
            resolved = (binding.get("status") or {}).get("sinkUri") and not is_deleting(binding)
            if resolved and is_subject(made, self._resource.api_version, self._resource.kind, binding):
                made = bound(made, binding)
        return made

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what the kind's own admission says."""
        return self._inner.validate(obj, request) if self._inner is not None else []
