"""The `scale` subresource (`autoscaling/v1 Scale`): replicas as one small object, whatever the kind."""

from __future__ import annotations

import json
from typing import Any

from eventmesh.base.errors import ConfigError
from eventmesh.cluster.api import errors, jsonpath
from eventmesh.cluster.api.catalog import ScalePaths, Served
from eventmesh.cluster.api.structural import clone
from eventmesh.kube.api import Object, Resource

SCALE = Resource("autoscaling", "v1", "scales", "Scale")
MAX_REPLICAS = 2**31 - 1
"""Clients read replicas into 32 bits."""


def paths_of(served: Served) -> ScalePaths:
    """Return where the kind keeps its replicas; raises 404 when it has no scale."""
    if served.scale is None:
        raise errors.no_such_path()
    return served.scale


def scale_of(served: Served, obj: Object) -> Object:
    """Return the Scale of `obj`."""
    paths = paths_of(served)
    replicas = jsonpath.first(obj, paths.spec_replicas)
    known = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Object = {"replicas": jsonpath.first(obj, paths.status_replicas) or 0}
    selector = _selector(obj, paths)
    if selector:
        status["selector"] = selector
    return {
        "kind": SCALE.kind,
        "apiVersion": SCALE.api_version,
        "metadata": {field: obj["metadata"][field] for field in known if field in obj["metadata"]},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def scaled(served: Served, obj: Object, scale: Object) -> Object:
    """Return a copy of `obj` with the replicas (and the version check) of `scale`; raises 400, 422."""
    replicas: Any = (scale.get("spec") or {}).get("replicas", 0)
    name = obj["metadata"]["name"]
    is_count = isinstance(replicas, int) and not isinstance(replicas, bool)
    # Of a custom kind the number is a field as any other, and is refused as that.
    if not is_count or (replicas < 0 and not served.is_custom):
        detail = "must be an integer greater than or equal to 0"
        raise errors.invalid(SCALE, name, [errors.Cause(errors.CauseType.INVALID, "spec.replicas", detail, replicas)])
    changed: Object = clone(obj)
    version = scale.get("metadata", {}).get("resourceVersion")
    if version:
        changed["metadata"]["resourceVersion"] = version
    try:
        jsonpath.replace(changed, paths_of(served).spec_replicas, replicas)
    except ConfigError as error:
        raise errors.bad_request(str(error)) from error
    return changed


_IN_GO = {str: "string", bool: "bool", float: "float64", dict: "map[string]interface {}", list: "[]interface {}"}


def violations(served: Served, obj: Object) -> list[errors.Cause]:
    """Return what is wrong with the fields of `obj` that its scale shows (`customresource/validator.go`)."""
    if served.scale is None:
        return []
    causes = []
    for path in (served.scale.spec_replicas, served.scale.status_replicas):
        replicas = jsonpath.first(obj, path)
        if replicas is None:
            continue
        if type(replicas) is not int:
            shown = replicas if isinstance(replicas, str) else json.dumps(replicas)
            detail = f"{path} accessor error: {shown} is of the type {_IN_GO[type(replicas)]}, expected int64"
            causes.append(errors.Cause(errors.CauseType.INVALID, path, detail, 0))
        elif replicas < 0:
            causes.append(errors.Cause(errors.CauseType.INVALID, path, "should be a non-negative integer", replicas))
        elif replicas > MAX_REPLICAS:
            detail = f"should be less than or equal to {MAX_REPLICAS}"
            causes.append(errors.Cause(errors.CauseType.INVALID, path, detail, replicas))
    return causes


def _selector(obj: Object, paths: ScalePaths) -> str:
    if paths.selector:
        found = jsonpath.first(obj, paths.selector)
        return found if isinstance(found, str) else ""
    selector = (obj.get("spec") or {}).get("selector") or {}
    labels = selector.get("matchLabels") if "matchLabels" in selector else selector
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()) if isinstance(value, str))
