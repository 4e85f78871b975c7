"""The seam through which an API server asks the owner of a kind for defaults and for a verdict.

The embedded API calls it in-process; on a cluster the same objects stand behind a webhook. Rules live
with the controllers of the kind, never here.
"""

from __future__ import annotations

from typing import Protocol

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object, Resource


class May(Protocol):
    """Whether who writes has a right on another object."""

    def __call__(self, verb: str, resource: Resource, namespace: str, name: str) -> bool:
        """Return whether they may `verb` it."""
        ...


def may_nothing(verb: str, resource: Resource, namespace: str, name: str) -> bool:
    """Return that they may not: where nobody can be asked, nobody has a right beyond the write itself."""
    return False


@frozen
class AdmissionRequest:
    """What is known of a write beside the object itself."""

    user: str
    """The name of who writes, as authenticated."""
    old: Object | None = None
    """The stored object of an update; None on create."""
    may: May = may_nothing


@frozen
class FieldError:
    """One complaint about one field, in Knative's words: `expected 0 <= 2000 <= 1000: spec.x` + details."""

    message: str
    """What is wrong, without the path."""
    path: str
    """The field as the author would write it: `spec.template.spec.containers[0].image`."""
    details: str = ""
    """More lines for the author; may be empty."""

    def __str__(self) -> str:
        head = f"{self.message}: {self.path}" if self.path else self.message
        return f"{head}\n{self.details}" if self.details else head


class Admission(Protocol):
    """Defaults and rules of one kind. Both are pure; `obj` is never changed in place."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return `obj` with every absent field filled that readers rely on."""
        ...

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong with the defaulted `obj`; an empty list admits it.

        The server answers 400 `admission webhook "..." denied the request: validation failed: <errors>`.
        """
        ...
