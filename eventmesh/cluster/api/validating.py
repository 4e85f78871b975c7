"""What in an object breaks its structural schema, in the words of Kubernetes (`kube-openapi/pkg/validation`).

The same rules serve CRD schemas and those of built-in kinds. `metadata` is not looked into: its rules are
`metadata`'s. What a schema adds or takes away is `structural`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator
from itertools import islice
from typing import Any

from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.cluster.api.formats import FORMATS
from eventmesh.cluster.api.patterns import compiled
from eventmesh.cluster.api.structural import ROOT_FIELDS, Schema

MAX_CAUSES = 50
"""An author mends a handful at a time; a huge wrong list must not make a huge answer."""
MAX_ROUNDING = 1e-9
"""Relative; what Kubernetes takes for whole (`swag.IsFloat64AJSONInteger`)."""
NOWHERE = "<nil>"
"""How Kubernetes spells the field of a rule that is about a choice among schemas, and not about one field."""

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer,string": lambda value: isinstance(value, int | str) and not isinstance(value, bool),
}

TYPES = frozenset(_TYPES) - {"integer,string"}
"""What a schema may name as its type."""


def violations(schema: Schema, obj: dict[str, Any], known: Container[str] = ()) -> list[Cause]:
    """Return what in `obj` breaks `schema`, at most MAX_CAUSES of it; not in its fields that are `known`."""
    fields = {name: value for name, value in obj.items() if name not in ROOT_FIELDS}
    rules = (_object_violations(schema, fields, "", known), _choice_violations(schema, fields, ""))
    return list(islice((cause for found in rules for cause in found), MAX_CAUSES))


def repeated(schema: Schema, value: Any, path: str = "") -> Iterator[Cause]:
    """Yield the items that a list says twice although its schema tells them apart (`x-kubernetes-list-type`)."""
    if isinstance(value, dict):
        properties: Schema = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        for name, item in value.items():
            if name in properties:
                yield from repeated(properties[name], item, _join(path, name))
            elif isinstance(additional, dict):
                yield from repeated(additional, item, f"{path}[{name}]")
    elif isinstance(value, list):
        items: Schema = schema.get("items") or {}
        yield from _repeated_items(schema, value, path)
        for number, item in enumerate(value):
            yield from repeated(items, item, f"{path}[{number}]")


def _repeated_items(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("set", "map"):
        return
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    strange = [number for number, item in enumerate(value) if item is not None and not isinstance(item, dict)]
    if kind == "map" and strange:
        detail = "must be an object for an array of list-type map"
        yield Cause(CauseType.INVALID, f"{path}[{strange[0]}]", detail, value[strange[0]])
        return
    times: dict[str, int] = {}
    for number, item in enumerate(value):
        told_apart = item if kind == "set" else {key: item[key] for key in keys if key in (item or ())}
        spelt = json.dumps(told_apart, sort_keys=True)
        times[spelt] = times.get(spelt, 0) + 1
        if times[spelt] == 2:
            yield Cause(CauseType.DUPLICATE, f"{path}[{number}]", value=told_apart)


def _violations(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if value is None and (schema.get("nullable") or not path):
        return
    type_ = "integer,string" if schema.get("x-kubernetes-int-or-string") else schema.get("type")
    if type_ and not _TYPES[type_](value):
        yield _wrong_type(path, type_, _name_of(value))
    if "enum" in schema and value not in schema["enum"]:
        accepted = ", ".join(f'"{_spelt(item)}"' for item in schema["enum"])
        yield Cause(CauseType.NOT_SUPPORTED, path, f"supported values: {accepted}", value)
    match value:
        case dict():
            yield from _object_violations(schema, value, path)
        case list():
            yield from _list_violations(schema, value, path)
        case str():
            yield from _text_violations(schema, value, path)
        case int() | float() if not isinstance(value, bool):
            yield from _number_violations(schema, value, path)
    yield from _choice_violations(schema, value, path)


def _wrong_type(path: str, wanted: str, found: str) -> Cause:
    return Cause(CauseType.TYPE_INVALID, path, f'{path} in body must be of type {wanted}: "{found}"', found)


def _object_violations(schema: Schema, value: dict[str, Any], path: str, known: Container[str] = ()) -> Iterator[Cause]:
    for name in schema.get("required") or ():
        if name not in value:
            yield Cause(CauseType.REQUIRED, _join(path, name))
    least, most = schema.get("minProperties"), schema.get("maxProperties")
    if least is not None and len(value) < least:
        yield _invalid(path, len(value), f"should have at least {least} properties")
    if most is not None and len(value) > most:
        yield _too_many(path, len(value), most)
    properties: Schema = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    for name, item in value.items():
        sub = properties.get(name, additional)
        if isinstance(sub, dict) and name not in known:
            yield from _violations(sub, item, _join(path, name))


def _list_violations(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and len(value) < least:
        yield _invalid(path, len(value), f"should have at least {least} items")
    if most is not None and len(value) > most:
        yield _too_many(path, len(value), most)
    items = schema.get("items")
    if isinstance(items, dict):
        for number, item in enumerate(value):
            yield from _violations(items, item, f"{path}[{number}]")


def _text_violations(schema: Schema, value: str, path: str) -> Iterator[Cause]:
    pattern, least, most = schema.get("pattern"), schema.get("minLength"), schema.get("maxLength")
    if most is not None and len(value) > most:
        # No pattern is looked for in it: what that may take grows with the square of the text.
        yield Cause(CauseType.TOO_LONG, path, f"may not be more than {most} bytes")
    elif pattern and not compiled(pattern).search(value):
        yield _invalid(path, value, f"should match '{pattern}'")
    if least is not None and len(value) < least:
        yield _invalid(path, value, f"should be at least {least} chars long")
    named: str = schema.get("format", "")
    if named in FORMATS and not FORMATS[named](value):
        yield _wrong_type(path, named, value)


def _number_violations(schema: Schema, value: float, path: str) -> Iterator[Cause]:
    least, most, factor = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    named = schema.get("format")
    is_whole = isinstance(value, int) and (named != "int32" or -(2**31) <= value < 2**31)
    if schema.get("type") == "integer" and not is_whole:
        form = f"with format {named}" if named else "(default format)"
        yield Cause(CauseType.INVALID, NOWHERE, f"Checked value must be of type integer {form} in {path}", "")
    if least is not None:
        if schema.get("exclusiveMinimum"):
            if value <= least:
                yield _invalid(path, value, f"should be greater than {least}")
        elif value < least:
            yield _invalid(path, value, f"should be greater than or equal to {least}")
    if most is not None:
        if schema.get("exclusiveMaximum"):
            if value >= most:
                yield _invalid(path, value, f"should be less than {most}")
        elif value > most:
            yield _invalid(path, value, f"should be less than or equal to {most}")
    if factor and not _is_multiple(value, factor):
        yield _invalid(path, value, f"should be a multiple of {factor}")


def _is_multiple(value: float, factor: float) -> bool:
    """Return whether it is one but for what floating point adds: 0.3 is a multiple of 0.1."""
    if isinstance(value, int) and isinstance(factor, int):
        return value % factor == 0
    try:
        quotient = value / factor
        return abs(quotient - round(quotient)) <= MAX_ROUNDING * max(1.0, abs(quotient))
    except OverflowError:
        # So large that there are no fractions any more.
        return True


def _choice_violations(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    """Yield what `anyOf`, `oneOf`, `allOf` and `not` refuse; of a choice that fits nowhere, what its first lacks."""
    if "anyOf" in schema:
        tried = [list(_violations(choice, value, path)) for choice in schema["anyOf"]]
        if all(tried):
            yield _about_choices(path, "must validate at least one schema (anyOf)")
            yield from min(tried, key=len)
    if "oneOf" in schema:
        tried = [list(_violations(choice, value, path)) for choice in schema["oneOf"]]
        fitting = sum(not found for found in tried)
        if fitting != 1:
            how_many = f"Found {fitting} valid alternatives" if fitting else "Found none valid"
            yield _about_choices(path, f"must validate one and only one schema (oneOf). {how_many}")
            yield from () if fitting else min(tried, key=len)
    if "allOf" in schema:
        tried = [list(_violations(choice, value, path)) for choice in schema["allOf"]]
        if any(tried):
            yield from (cause for found in tried for cause in found)
            none = ". None validated" if all(tried) else ""
            yield _about_choices(path, f"must validate all the schemas (allOf){none}")
    if "not" in schema and not list(_violations(schema["not"], value, path)):
        yield _about_choices(path, "must not validate the schema (not)")


def _about_choices(path: str, rule: str) -> Cause:
    return Cause(CauseType.INVALID, NOWHERE, f'"{path}" {rule}', "")


def _invalid(path: str, value: object, rule: str) -> Cause:
    return Cause(CauseType.INVALID, path, f"{path} in body {rule}", value)


def _too_many(path: str, found: int, most: int) -> Cause:
    return Cause(CauseType.TOO_MANY, path, f"must have at most {most} items", found)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _spelt(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _name_of(value: Any) -> str:
    match value:
        case None:
            return "null"
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
