"""Applying YAML manifests to the registry at start, along the same path that a client's write takes."""

from __future__ import annotations

import json
from pathlib import Path

import eventmesh
from eventmesh.base.errors import ConfigError
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.identity import ADMIN_GROUPS
from eventmesh.cluster.api.registry import Registry
from eventmesh.cluster.api.structural import clone
from eventmesh.cluster.api.writing import FieldValidation, WriteOptions
from eventmesh.cluster.store.store import Key
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.manifests import read_manifests

SHIPPED = Path(eventmesh.__file__).parent.parent / "knative"
"""The manifests that come with eventmesh: beside the package, in a checkout as in an installation."""
FIRST_MANIFESTS = ("namespaces.yaml", "crds", "mesh", "serving", "eventing")
"""What of them a local cluster starts with."""

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_FIRST = {"Namespace": 0, "CustomResourceDefinition": 1}
_AS_ADMIN = WriteOptions(user="eventmesh-admin", groups=ADMIN_GROUPS, field_validation=FieldValidation.STRICT)


def install_shipped(registry: Registry, directory: Path = SHIPPED) -> None:
    """Bring the shipped CRDs up to date, and create what else is shipped and absent.

    What the user may have changed since (a ConfigMap, a namespace) stays as it is.
    """
    paths = [directory / name for name in FIRST_MANIFESTS]
    objects = [obj for path in paths if path.exists() for obj in read_manifests(path)]
    apply_objects(registry, [obj for obj in objects if obj["kind"] == "CustomResourceDefinition"])
    apply_absent(registry, objects)


def apply_absent(registry: Registry, objects: list[Object]) -> None:
    """Create those of `objects` that are not there."""
    apply_objects(registry, [obj for obj in objects if _is_absent(registry, obj)])


def _is_absent(registry: Registry, obj: Object) -> bool:
    served = registry.catalog.by_kind(obj["apiVersion"], obj["kind"])
    if served is None:
        return True
    namespace = obj["metadata"].get("namespace", "default") if served.resource.namespaced else ""
    return registry.store.get(Key(served.kind_key, namespace, obj["metadata"]["name"])) is None


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
    name = obj["metadata"]["name"]
    namespace = obj["metadata"].get("namespace", "default") if served.resource.namespaced else ""
    stored = registry.store.get(Key(served.kind_key, namespace, name))
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
