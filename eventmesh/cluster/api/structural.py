"""Structural schemas (`apiextensions/v1` §structural): dropping unknown fields, defaults, validation.

The same three passes serve CRD schemas and the schemas of built-in kinds. `metadata` is not looked into:
its rules are the registry's.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from functools import lru_cache
from typing import Any

from eventmesh.cluster.api.errors import Cause, CauseType

MAX_DEPTH = 64
"""Deeper nesting than any real manifest; bounds recursion on hostile input."""
MAX_CAUSES = 50
"""An author mends a handful at a time; a huge wrong list must not make a huge answer."""

Schema = dict[str, Any]
_ROOT_FIELDS = {"apiVersion", "kind", "metadata"}


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
        if isinstance(items, dict):
            for number, item in enumerate(value):
                _drop(items, item, f"{path}[{number}]", dropped)
        return
    if not isinstance(value, dict):
        return
    properties: Schema = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    keeps = bool(schema.get("x-kubernetes-preserve-unknown-fields")) or additional is True
    is_resource = root or schema.get("x-kubernetes-embedded-resource")
    for name in list(value):
        if (is_resource and name in _ROOT_FIELDS) or name in known:
            continue
        where = f"{path}.{name}" if path else name
        if name in properties:
            _drop(properties[name], value[name], where, dropped)
        elif isinstance(additional, dict):
            _drop(additional, value[name], where, dropped)
        elif not keeps:
            del value[name]
            dropped.append(where)


def fill_defaults(schema: Schema, value: Any) -> None:
    """Set every absent field that has a default in `schema`; `null` counts as absent where null is not allowed."""
    if isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            for item in value:
                fill_defaults(items, item)
        return
    if not isinstance(value, dict):
        return
    for name, sub in (schema.get("properties") or {}).items():
        if value.get(name) is None and "default" in sub and not (name in value and sub.get("nullable")):
            value[name] = clone(sub["default"])
        if name in value:
            fill_defaults(sub, value[name])
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        for name, item in value.items():
            if name not in (schema.get("properties") or {}):
                fill_defaults(additional, item)


def violations(schema: Schema, obj: dict[str, Any], known: Container[str] = ()) -> list[Cause]:
    """Return what in `obj` breaks `schema`, at most MAX_CAUSES of it; not in its fields that are `known`."""
    found: list[Cause] = []
    fields = {name: value for name, value in obj.items() if name not in _ROOT_FIELDS}
    for cause in _object_violations(schema, fields, "", known):
        found.append(cause)
        if len(found) == MAX_CAUSES:
            break
    return found


def _violations(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if value is None:
        if not schema.get("nullable") and path:
            yield Cause(CauseType.TYPE_INVALID, path, f"must be of type {_type_text(schema)}: null", value)
        return
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str) or isinstance(value, bool):
            yield Cause(CauseType.TYPE_INVALID, path, "must be an integer or a string", value)
        return
    type_ = schema.get("type")
    if type_ and not _TYPES[type_](value):
        detail = f'{path} in body must be of type {type_}: "{_name_of(value)}"'
        yield Cause(CauseType.TYPE_INVALID, path, detail, _name_of(value))
        return
    yield from _scalar_violations(schema, value, path)
    if isinstance(value, dict):
        yield from _object_violations(schema, value, path)
    elif isinstance(value, list):
        yield from _list_violations(schema, value, path)


def _object_violations(schema: Schema, value: dict[str, Any], path: str, known: Container[str] = ()) -> Iterator[Cause]:
    for name in schema.get("required") or ():
        if name not in value:
            yield Cause(CauseType.REQUIRED, _join(path, name))
    properties: Schema = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    for name, item in value.items():
        sub = properties.get(name, additional)
        if isinstance(sub, dict) and name not in known:
            yield from _violations(sub, item, _join(path, name))


def _list_violations(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    if len(value) < schema.get("minItems", 0):
        yield Cause(CauseType.INVALID, path, f"should have at least {schema['minItems']} items", len(value))
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        yield Cause(CauseType.INVALID, path, f"should have at most {schema['maxItems']} items", len(value))
    items = schema.get("items")
    if isinstance(items, dict):
        for number, item in enumerate(value):
            yield from _violations(items, item, f"{path}[{number}]")


def _scalar_violations(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if "enum" in schema and value not in schema["enum"]:
        accepted = ", ".join(f'"{item}"' for item in schema["enum"])
        yield Cause(CauseType.NOT_SUPPORTED, path, f"supported values: {accepted}", value)
    if isinstance(value, str):
        pattern = schema.get("pattern")
        if pattern and not _compiled(pattern).search(value):
            yield Cause(CauseType.INVALID, path, f"{path} in body should match '{pattern}'", value)
        if len(value) < schema.get("minLength", 0):
            detail = f"{path} in body should be at least {schema['minLength']} chars long"
            yield Cause(CauseType.INVALID, path, detail, value)
        if "maxLength" in schema and len(value) > schema["maxLength"]:
            yield Cause(CauseType.INVALID, path, f"may not be longer than {schema['maxLength']}", value[:32])
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if "minimum" in schema and value < schema["minimum"]:
            detail = f"{path} in body should be greater than or equal to {schema['minimum']}"
            yield Cause(CauseType.INVALID, path, detail, value)
        if "maximum" in schema and value > schema["maximum"]:
            detail = f"{path} in body should be less than or equal to {schema['maximum']}"
            yield Cause(CauseType.INVALID, path, detail, value)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _type_text(schema: Schema) -> str:
    return str(schema.get("type", "object"))


_TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


def _name_of(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"
