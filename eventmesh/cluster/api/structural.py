"""Structural schemas (`apiextensions/v1` §structural): dropping what they do not have, filling in what they default.

The same passes serve CRD schemas and the schemas of built-in kinds. `metadata` is not looked into:
its rules are `metadata`'s. What breaks a schema is told by `validating`.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

MAX_DEPTH = 64
"""Deeper nesting than any real manifest; bounds recursion on hostile input."""

Schema = dict[str, Any]
ROOT_FIELDS = frozenset({"apiVersion", "kind", "metadata"})
"""The fields that every object has, and no schema speaks of."""


def clone(value: Any) -> Any:
    """Return a deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def clone_object(obj: dict[str, Any]) -> dict[str, Any]:
    """Return a deep copy of an object that shares its `managedFields`, which are large and never changed in place."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return {key: clone(item) for key, item in obj.items()}
    others = {key: clone(item) for key, item in obj.items() if key != "metadata"}
    own = {key: item if key == "managedFields" else clone(item) for key, item in metadata.items()}
    return {**others, "metadata": own}


def depth_exceeds(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Return whether `value` nests deeper than `limit`, without recursing deeper than that itself."""
    level = [value]
    for _ in range(limit + 1):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [item for item in value.values() if isinstance(item, dict | list)]
    if isinstance(value, list):
        return [item for item in value if isinstance(item, dict | list)]
    return []


def drop_unknown(schema: Schema, obj: dict[str, Any], known: Container[str] = ()) -> list[str]:
    """Remove the fields that `schema` does not have; return their paths.

    Fields of the object itself that are in `known` are not looked into: they are as they were stored.
    """
    dropped: list[str] = []
    _drop(schema, obj, "", dropped, root=True, known=known)
    return dropped


def _drop(
    schema: Schema, value: Any, path: str, dropped: list[str], *, root: bool = False, known: Container[str] = ()
) -> None:
    if isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict) or not schema.get("x-kubernetes-preserve-unknown-fields"):
            for number, item in enumerate(value):
                _drop(items or {}, item, f"{path}[{number}]", dropped)
        return
    if not isinstance(value, dict):
        return
    properties: Schema = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    keeps = bool(schema.get("x-kubernetes-preserve-unknown-fields")) or additional is True
    is_resource = root or schema.get("x-kubernetes-embedded-resource")
    for name in list(value):
        if (is_resource and name in ROOT_FIELDS) or name in known:
            continue
        where = f"{path}.{name}" if path else name
        if name in properties:
            _drop(properties[name], value[name], where, dropped)
        elif isinstance(additional, dict):
            _drop(additional, value[name], where, dropped)
        elif not keeps:
            del value[name]
            dropped.append(where)


def drop_unknown_metadata(schema: Schema, metadata: dict[str, Any]) -> list[str]:
    """Remove the fields that no object's metadata has, by its `schema`; return their paths in the object."""
    dropped: list[str] = []
    _drop(schema, metadata, "metadata", dropped, known=("managedFields",))
    return dropped


def fill_defaults(schema: Schema, value: Any, *, keeps_nulls: bool = False) -> None:
    """Set every absent field that has a default in `schema`; `null` counts as absent where null is not allowed.

    Such a null goes when there is no default for it, unless it `keeps_nulls`: then it is left to be refused.
    """
    if isinstance(value, list):
        items: Schema = schema.get("items") or {}
        for item in value:
            fill_defaults(items, item, keeps_nulls=keeps_nulls)
    elif isinstance(value, dict):
        properties: Schema = schema.get("properties") or {}
        for name, sub in properties.items():
            _fill_field(sub, value, name, keeps_nulls)
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            for name in [name for name in value if name not in properties]:
                _fill_field(additional, value, name, keeps_nulls)


def _fill_field(schema: Schema, parent: dict[str, Any], name: str, keeps_nulls: bool) -> None:
    if parent.get(name) is None and not (name in parent and schema.get("nullable")):
        if "default" in schema:
            parent[name] = clone(schema["default"])
        elif not keeps_nulls:
            parent.pop(name, None)
    if name in parent:
        fill_defaults(schema, parent[name], keeps_nulls=keeps_nulls)
