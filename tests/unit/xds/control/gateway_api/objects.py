"""Small Gateway API objects."""

from __future__ import annotations

from typing import Any

from eventmesh.kube.api import Object
from eventmesh.xds.control.gateway_api.values import CONTROLLER_NAME

OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def _metadata(name: str, namespace: str, created: str = OLD) -> Object:
    return {"name": name, "namespace": namespace, "generation": 1, "creationTimestamp": created}


def gateway_class(name: str = "eventmesh", controller: str = CONTROLLER_NAME) -> Object:
    return {"metadata": {"name": name}, "spec": {"controllerName": controller}}


def gateway(name: str, *listeners: Object, namespace: str = "ns", class_: str = "eventmesh", **spec: Any) -> Object:
    found = list(listeners) or [listener("http")]
    return {
        "metadata": _metadata(name, namespace),
        "spec": {"gatewayClassName": class_, "listeners": found, **spec},
    }


def listener(name: str, port: int = 80, protocol: str = "HTTP", **more: Any) -> Object:
    return {"name": name, "port": port, "protocol": protocol, **more}


def route(
    name: str, *rules: Object, hosts: tuple[str, ...] = (), namespace: str = "ns", created: str = OLD, **spec: Any
) -> Object:
    parents = spec.pop("parentRefs", [{"name": "front"}])
    return {
        "metadata": _metadata(name, namespace, created),
        "spec": {"parentRefs": parents, "hostnames": list(hosts), "rules": list(rules), **spec},
    }


def to(service: str, *paths: str, **rule: Any) -> Object:
    matches = [{"path": {"type": "PathPrefix", "value": path}} for path in paths]
    return {"backendRefs": [{"name": service, "port": 80}], **({"matches": matches} if matches else {}), **rule}


def grant(namespace: str, source: str, *targets: str, kind: str = "HTTPRoute") -> Object:
    to_ = [{"group": "", "kind": "Service", **({"name": name} if name else {})} for name in targets or ("",)]
    return {
        "metadata": _metadata("grant", namespace),
        "spec": {"from": [{"kind": kind, "namespace": source}], "to": to_},
    }
