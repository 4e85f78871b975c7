"""Which objects control reads, and how each kind is taken in, for whoever has objects from elsewhere than a watch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from eventmesh.kube.api import Object, Resource
from eventmesh.kube.objects import key_of
from eventmesh.kube.resources import (
    AUTHORIZATION_POLICY,
    CONFIG_MAP,
    ENDPOINT_SLICE,
    GATEWAY,
    GATEWAY_CLASS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    KINGRESS,
    NAMESPACE,
    PROTOCOL_DECLARATION,
    PYTHON_FILTER,
    REFERENCE_GRANT,
    REQUEST_AUTHENTICATION,
    REVISION,
    SECRET,
    SERVERLESS_SERVICE,
    SERVICE,
    SERVICE_INTERFACE,
    TRAFFIC_POLICY,
)
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.watcher import SETTINGS, Watcher

Take = Callable[[Watcher, Object | None, Object | None], Effect]
"""Has a watcher take in (old, new)."""

READERS: Final[Mapping[Resource, Take]] = {
    KINGRESS: Watcher.ingress,
    SERVERLESS_SERVICE: Watcher.serverless,
    SERVICE: Watcher.service,
    ENDPOINT_SLICE: Watcher.slice,
    REVISION: Watcher.revision,
    NAMESPACE: Watcher.namespace,
    TRAFFIC_POLICY: Watcher.policy,
    GATEWAY_CLASS: lambda watcher, old, new: watcher.gateway_api.gateway_class(old, new),
    GATEWAY: lambda watcher, old, new: watcher.gateway_api.gateway(old, new),
    HTTP_ROUTE: lambda watcher, old, new: watcher.gateway_api.http_route(old, new),
    GRPC_ROUTE: lambda watcher, old, new: watcher.gateway_api.grpc_route(old, new),
    REFERENCE_GRANT: lambda watcher, old, new: watcher.gateway_api.grant(old, new),
    AUTHORIZATION_POLICY: Watcher.authorization,
    REQUEST_AUTHENTICATION: Watcher.authentication,
    PYTHON_FILTER: Watcher.python_filter,
    SERVICE_INTERFACE: Watcher.interface,
    PROTOCOL_DECLARATION: Watcher.declaration,
    SECRET: Watcher.secret,
    CONFIG_MAP: Watcher.config_map,
}
"""How each kind of object is taken in."""

_KINDS: Final = {(kind.api_version, kind.kind): kind for kind in READERS}


def kind_of(obj: Object) -> Resource | None:
    """Return which kind of READERS `obj` is; None: of none."""
    return _KINDS.get((str(obj.get("apiVersion")), str(obj.get("kind"))))


def reader_of(obj: Object) -> Take | None:
    """Return how `obj` is taken in; None: control does not read it."""
    kind = kind_of(obj)
    if kind is None or (kind == CONFIG_MAP and key_of(obj) not in SETTINGS):
        return None
    return READERS[kind]
