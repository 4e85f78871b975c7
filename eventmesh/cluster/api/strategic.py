"""Strategic merge patch for built-in kinds: lists of objects are merged by a key, lists of values as sets.

The rules are those of `apimachinery/pkg/util/strategicpatch`. Which list merges by which field is told by
the field's name, which is unambiguous within the built-in kinds, but for `ports`.
"""

from __future__ import annotations

from typing import Any

from eventmesh.cluster.api.errors import bad_request
from eventmesh.kube.api import Object

_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "secrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "conditions": "type",
    "ownerReferences": "uid",
    "addresses": "type",
    "podIPs": "ip",
    "topologySpreadConstraints": "topologyKey",
}
_SET_LISTS = {"finalizers"}
_DIRECTIVE = "$patch"
_RETAIN_KEYS = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_VALUES = "$deleteFromPrimitiveList/"


def merge_key(field: str, items: list[Any]) -> str | None:
    """Return the field by which the list `field` merges; None when it is replaced as a whole."""
    if field == "ports":
        # A container's port is named by containerPort, a Service's by port.
        is_container = any(isinstance(item, dict) and "containerPort" in item for item in items)
        return "containerPort" if is_container else "port"
    return _MERGE_KEYS.get(field)


def strategic_merge(target: Object, patch: Object) -> Object:
    """Return `target` (which is changed) with `patch` merged into it; raises ApiError 400 for a wrong directive."""
    directive = patch.get(_DIRECTIVE)
    match directive:
        case None | "merge":
            pass
        case "replace":
            return {name: value for name, value in patch.items() if name != _DIRECTIVE}
        case "delete":
            return {}
        case _:
            raise bad_request(f"unknown patch directive {_DIRECTIVE}: {directive}; use merge, replace or delete")
    if _RETAIN_KEYS in patch:
        kept = set(patch[_RETAIN_KEYS])
        for name in [name for name in target if name not in kept]:
            del target[name]
    for name, value in patch.items():
        if not name.startswith("$"):
            _merge_field(target, name, value)
    _merge_list_directives(target, patch)
    return target


def _merge_field(target: Object, name: str, value: Any) -> None:
    match value:
        case None:
            target.pop(name, None)
        case dict():
            known = target.get(name)
            merged = strategic_merge(known if isinstance(known, dict) else {}, value)
            if value.get(_DIRECTIVE) == "delete":
                target.pop(name, None)
            else:
                target[name] = merged
        case list():
            known = target.get(name)
            target[name] = _merge_list(name, known if isinstance(known, list) else [], value)
        case _:
            target[name] = value


def _merge_list(field: str, known: list[Any], patch: list[Any]) -> list[Any]:
    if field in _SET_LISTS:
        return known + [value for value in patch if value not in known]
    key = merge_key(field, known + patch)
    if key is None or not all(isinstance(item, dict) for item in known + patch):
        return patch
    if any(item.get(_DIRECTIVE) == "replace" for item in patch):
        return [item for item in patch if item.get(_DIRECTIVE) != "replace"]
    result = list(known)
    for item in patch:
        if key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        at = next((number for number, old in enumerate(result) if old.get(key) == item[key]), None)
        if item.get(_DIRECTIVE) == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(strategic_merge({}, item))
        else:
            result[at] = strategic_merge(result[at], item)
    return result


def _merge_list_directives(target: Object, patch: Object) -> None:
    for name, value in patch.items():
        if name.startswith(_DELETE_VALUES):
            field = name.removeprefix(_DELETE_VALUES)
            target[field] = [item for item in target.get(field) or [] if item not in value]
        elif name.startswith(_ORDER):
            field = name.removeprefix(_ORDER)
            if isinstance(target.get(field), list):
                target[field] = _ordered(field, target[field], value)


def _ordered(field: str, items: list[Any], order: list[Any]) -> list[Any]:
    key = merge_key(field, items)
    if key is None or not all(isinstance(item, dict) for item in items):
        ranks = {value: rank for rank, value in enumerate(order) if not isinstance(value, dict)}
        return sorted(items, key=lambda item: ranks.get(item, len(ranks)))
    ranks = {entry.get(key): rank for rank, entry in enumerate(order) if isinstance(entry, dict)}
    return sorted(items, key=lambda item: ranks.get(item.get(key), len(ranks)))
