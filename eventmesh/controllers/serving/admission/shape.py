"""Of which kind each field is: looked at first, so that the rules may take it for granted.

A CRD's schema leaves the pod template open, as Knative's does; what is no map, list, text or number where one
is expected is refused here by its path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eventmesh.base.frozen import frozen
from eventmesh.controllers.serving.admission.fields import invalid
from eventmesh.kube.admission import FieldError


@frozen
class Texts:
    """A map of texts with any keys, as labels and annotations are."""


Shape = type | Texts | list[Any] | Mapping[str, Any] | None
"""A type, a list of one shape, a map of named fields (others are not looked at), or None for anything."""

_PROBE: Shape = {
    "httpGet": {"path": str, "host": str, "scheme": str},
    "tcpSocket": {"host": str},
    "exec": {"command": [str]},
    "grpc": {"service": str},
    "initialDelaySeconds": int,
    "timeoutSeconds": int,
    "periodSeconds": int,
    "successThreshold": int,
    "failureThreshold": int,
}
_KEY_REFERENCE: Shape = {"name": str, "key": str}
_CONTAINER: Shape = {
    "name": str,
    "image": str,
    "command": [str],
    "args": [str],
    "workingDir": str,
    "imagePullPolicy": str,
    "env": [
        {
            "name": str,
            "value": str,
            "valueFrom": {"configMapKeyRef": _KEY_REFERENCE, "secretKeyRef": _KEY_REFERENCE, "fieldRef": {}},
        }
    ],
    "envFrom": [{"prefix": str, "configMapRef": {"name": str}, "secretRef": {"name": str}}],
    "ports": [{"name": str, "protocol": str, "containerPort": int}],
    "readinessProbe": _PROBE,
    "livenessProbe": _PROBE,
    "startupProbe": _PROBE,
    "resources": {"requests": {}, "limits": {}},
    "securityContext": {"runAsUser": int, "runAsGroup": int},
    "volumeMounts": [{"name": str, "mountPath": str, "subPath": str, "mountPropagation": str, "readOnly": bool}],
}
REVISION_SPEC: Shape = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [{"name": str, "secret": {"secretName": str}, "configMap": {"name": str}, "projected": {}}],
    "serviceAccountName": str,
    "imagePullSecrets": [{"name": str}],
    "enableServiceLinks": bool,
    "containerConcurrency": int,
    "timeoutSeconds": int,
    "responseStartTimeoutSeconds": int,
    "idleTimeoutSeconds": int,
}
TEMPLATE: Shape = {"metadata": {"name": str, "labels": Texts(), "annotations": Texts()}, "spec": REVISION_SPEC}
TRAFFIC: Shape = [
    {"tag": str, "revisionName": str, "configurationName": str, "url": str, "percent": int, "latestRevision": bool}
]


def shape_errors(value: object, shape: Shape, path: str = "") -> Iterator[FieldError]:
    """Yield what is not of its shape; an absent or null field is, a null in a list is not."""
    match shape:
        case None:
            return
        case type():
            # JSON's true and false are not numbers, though Python's are.
            if not isinstance(value, shape) or (shape is int and isinstance(value, bool)):
                yield invalid(value, path)
        case Texts():
            yield from _texts(value, path)
        case list():
            if not isinstance(value, list):
                yield invalid(value, path)
                return
            for index, item in enumerate(value):
                yield from shape_errors(item, shape[0], f"{path}[{index}]")
        case _:
            if not isinstance(value, dict):
                yield invalid(value, path)
                return
            for field, inner in shape.items():
                if value.get(field) is not None:
                    yield from shape_errors(value[field], inner, f"{path}.{field}" if path else field)


def _texts(value: object, path: str) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        yield invalid(value, path)
        return
    for key, item in value.items():
        if not isinstance(item, str):
            yield invalid(item, f"{path}.{key}" if path else str(key))
