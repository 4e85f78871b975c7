"""Reads GatewayClass, Gateway and ReferenceGrant objects. Pure.

What cannot be served is told in the value itself, listener by listener: the rest of a Gateway works on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key, key_of
from eventmesh.kube.selectors import LabelSelector
from eventmesh.xds.control.gateway_api.values import (
    CONTROLLER_NAME,
    GROUP,
    Admits,
    Gateway,
    Grant,
    Listener,
    RouteKind,
)

_KINDS = {kind.value: kind for kind in RouteKind}


def is_own_class(obj: Object) -> bool:
    """True when the GatewayClass `obj` is for us."""
    return (obj.get("spec") or {}).get("controllerName") == CONTROLLER_NAME


def parse_gateway(obj: Object) -> Gateway:
    """Return the Gateway; each listener says itself whether it can be served."""
    spec, metadata = obj.get("spec") or {}, obj["metadata"]
    return Gateway(
        key=key_of(obj),
        created=metadata.get("creationTimestamp", ""),
        generation=metadata.get("generation", 0),
        class_name=spec.get("gatewayClassName", ""),
        listeners=tuple(_listener(item, key_of(obj)) for item in spec.get("listeners") or ()),
        asks_for_addresses=bool(spec.get("addresses")),
    )


def _listener(item: Mapping[str, Any], gateway: Key) -> Listener:
    allowed = item.get("allowedRoutes") or {}
    namespaces = allowed.get("namespaces") or {}
    kinds, unknown = _kinds(allowed.get("kinds") or ())
    protocol, tls = item.get("protocol", ""), item.get("tls") or {}
    return Listener(
        name=item.get("name", ""),
        port=item.get("port", 0),
        is_tls=protocol == "HTTPS",
        hostname=(item.get("hostname") or "").lower(),
        secrets=tuple(_secret(ref, gateway) for ref in tls.get("certificateRefs") or ()),
        admits=Admits(namespaces.get("from") or "Same"),
        selector=LabelSelector.of(namespaces.get("selector")),
        kinds=kinds,
        unknown_kinds=unknown,
        problem=_problem(protocol, tls),
    )


def _problem(protocol: str, tls: Mapping[str, Any]) -> tuple[str, str] | None:
    if protocol not in ("HTTP", "HTTPS"):
        return "UnsupportedProtocol", f"protocol: {protocol!r} is not served; HTTP and HTTPS are"
    if protocol == "HTTPS" and tls.get("mode", "Terminate") != "Terminate":
        return "UnsupportedValue", f"tls.mode: {tls['mode']!r} is not served; Terminate is"
    if protocol == "HTTPS" and not tls.get("certificateRefs"):
        return "UnsupportedValue", "tls.certificateRefs: missing; HTTPS needs a certificate"
    return None


def _kinds(items: Any) -> tuple[tuple[RouteKind, ...], bool]:
    if not items:
        return tuple(RouteKind), False
    known = [
        _KINDS[item.get("kind")]
        for item in items
        if item.get("kind") in _KINDS and (item.get("group") or GROUP) == GROUP
    ]
    return tuple(dict.fromkeys(known)), len(known) < len(items)


def _secret(ref: Mapping[str, Any], gateway: Key) -> Key:
    return Key(ref.get("namespace") or gateway.namespace, ref.get("name", ""))


def parse_grant(obj: Object) -> Grant:
    """Return the ReferenceGrant."""
    spec = obj.get("spec") or {}
    return Grant(
        key=key_of(obj),
        sources=frozenset((item.get("kind", ""), item.get("namespace", "")) for item in spec.get("from") or ()),
        targets=frozenset((item.get("kind", ""), item.get("name") or "") for item in spec.get("to") or ()),
    )
