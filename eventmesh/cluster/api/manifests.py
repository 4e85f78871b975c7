"""Applying YAML manifests to the registry at start, along the same path that a client's write takes."""

from __future__ import annotations

import json

from eventmesh.base.errors import ConfigError
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.identity import ADMIN_GROUPS
from eventmesh.cluster.api.registry import Registry
from eventmesh.cluster.api.structural import clone
from eventmesh.cluster.api.writing import FieldValidation, WriteOptions
from eventmesh.cluster.store.store import Key
from eventmesh.kube.api import Object, Resource

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_FIRST = {"Namespace": 0, "CustomResourceDefinition": 1}
_AS_ADMIN = WriteOptions(user="eventmesh-admin", groups=ADMIN_GROUPS, field_validation=FieldValidation.STRICT)


def apply_absent(registry: Registry, objects: list[Object]) -> None:
    """Create those of `objects` that are not there."""
    apply_objects(registry, [obj for obj in objects if _is_absent(registry, obj)])


def _is_absent(registry: Registry, obj: Object) -> bool:
    key = key_of(registry, obj)
    return key is None or registry.store.get(key) is None


def key_of(registry: Registry, obj: Object) -> Key | None:
    """Return where an object of a manifest lies in the store; None while its kind is not served."""
    served = registry.catalog.by_kind(obj["apiVersion"], obj["kind"])
    return None if served is None else _key(served, obj)


def _key(served: Served, obj: Object) -> Key:
    namespace = obj["metadata"].get("namespace", "default") if served.resource.namespaced else ""
    return Key(served.kind_key, namespace, obj["metadata"]["name"])


def apply_objects(registry: Registry, objects: list[Object]) -> list[tuple[Resource, Object]]:
    """Create each object, or bring the stored one to what it says; namespaces and CRDs first.

    Raises ConfigError for a kind that is not served, ApiError for an object that is refused.
    """
    applied = []
    for obj in sorted(objects, key=lambda obj: _FIRST.get(obj["kind"], 2)):
        served = registry.catalog.by_kind(obj["apiVersion"], obj["kind"])
        if served is None:
            raise ConfigError(f"{obj['kind']} {obj['metadata']['name']}", f"{obj['apiVersion']} is not served")
        applied.append((served.resource, _apply(registry, served, clone(obj))))
    return applied


def _remember_applied(obj: Object) -> None:
    """Note in `obj` what was applied, as kubectl does, so that its next apply knows what it may remove."""
    annotations = obj["metadata"].setdefault("annotations", {})
    annotations.pop(LAST_APPLIED, None)
    annotations[LAST_APPLIED] = json.dumps(obj, separators=(",", ":"), sort_keys=True) + "\n"


def _apply(registry: Registry, served: Served, obj: Object) -> Object:
    key = _key(served, obj)
    name, namespace = key.name, key.namespace
    stored = registry.store.get(key)
    status = obj.pop("status", None)
    _remember_applied(obj)
    if stored is None:
        result = registry.create(served, obj, namespace, _AS_ADMIN).object
    else:
        meta = {**stored.object["metadata"], **obj["metadata"]}
        merged = {**obj, "metadata": clone(meta)}
        if not served.has_status and status is not None:
            merged["status"] = status
        result = registry.update(served, merged, name, namespace, _AS_ADMIN).object
    if served.has_status and status is not None:
        changed = {**result, "status": status}
        result = registry.update(served, clone(changed), name, namespace, _AS_ADMIN, status=True).object
    return result
