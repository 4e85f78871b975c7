"""What somebody wants to do: a verb on a resource, or on a path that is none (`apiserver/pkg/endpoints/request`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.errors import quoted
from eventmesh.cluster.api.paths import Target, flag
from eventmesh.kube.selectors import FieldSelector

_OF_ONE: Final = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OF_ALL: Final = {"get": "list", "delete": "deletecollection"}


@frozen
class OnResource:
    """A verb on objects. Empty: `namespace` all of them, `name` all objects, `subresource` the object itself."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def path(self) -> str:
        """Return the resource as rules name it: `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def __str__(self) -> str:
        where = f"in the namespace {quoted(self.namespace)}" if self.namespace else "at the cluster scope"
        return f"{self.verb} resource {quoted(self.path)} in API group {quoted(self.group)} {where}"


@frozen
class OnPath:
    """A verb, the HTTP method in small letters, on a path that names no resource."""

    verb: str
    path: str

    def __str__(self) -> str:
        return f"{self.verb} path {quoted(self.path)}"


Attributes = OnResource | OnPath


def attributes_of(method: str, path: str, target: Target | None, query: Mapping[str, str]) -> Attributes:
    """Return what a request wants; `target` is what its path names, if that is a resource."""
    if target is None:
        return OnPath(method.lower(), path)
    verb, name = _OF_ONE.get(method, ""), target.name
    if verb == "get" and not target.subresource and flag(query, "watch"):
        verb = "watch"
    elif not name:
        verb = _OF_ALL.get(verb, verb)
    if not name and verb in ("list", "watch"):
        # So a list may be allowed that asks for one object by name: `kubectl wait` and informers of one object do.
        name = _selected_name(query.get("fieldSelector", ""))
    namespace = target.namespace
    if (target.group, target.plural) == ("", "namespaces"):
        # A namespace is in itself: who may read all that is in it may read it too.
        namespace = target.name
    return OnResource(verb, target.group, target.plural, target.subresource, namespace, name)


def _selected_name(selector: str) -> str:
    try:
        clauses = FieldSelector.parse(selector).clauses
    except ConfigError:
        return ""  # Told when the list is made.
    return next((clause.value for clause in clauses if clause.path == "metadata.name" and clause.equal), "")
