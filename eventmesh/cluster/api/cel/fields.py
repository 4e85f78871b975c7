"""Objects under a schema as expressions see them: their types, the names of their fields, their values.

The rules are those of `apiserver/pkg/cel/common/schemas.go` and `escaping.go`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from eventmesh.cluster.api.cel import types
from eventmesh.cluster.api.cel.library.times import parse_duration, parse_timestamp
from eventmesh.cluster.api.cel.syntax import KEYWORDS
from eventmesh.cluster.api.cel.types import Type
from eventmesh.cluster.api.cel.values import EvaluationError, MapList, SetList
from eventmesh.cluster.api.structural import Schema

_SPELT: Final = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_READ: Final = {word: sign for sign, word in _SPELT.items()}
_SIGN: Final = re.compile(r"__|[./-]")
_WORD: Final = re.compile("|".join(_READ))
_NAMEABLE: Final = re.compile(r"[A-Za-z_./-][A-Za-z0-9_./-]*\Z")
_SCALARS: Final[Mapping[str, Type]] = {"boolean": types.BOOL, "number": types.DOUBLE, "integer": types.INT}
_TEXTS: Final[Mapping[str, Type]] = {
    "byte": types.BYTES,
    "duration": types.DURATION,
    "date": types.TIMESTAMP,
    "date-time": types.TIMESTAMP,
}
_TEXT: Schema = {"type": "string"}
_ROOT: Final[Mapping[str, Schema]] = {
    "apiVersion": _TEXT,
    "kind": _TEXT,
    "metadata": {"type": "object", "properties": {"name": _TEXT, "generateName": _TEXT}},
}
"""What a rule may ask of every resource."""

Reader = Callable[[Any], Any]


def escaped(name: str) -> str | None:
    """Return the name by which an expression selects the field `name`; None when it cannot."""
    if not _NAMEABLE.match(name):
        return None
    return f"__{name}__" if name in KEYWORDS else _SIGN.sub(lambda found: _SPELT[found[0]], name)


def real_name(selected: str) -> str:
    """Return the name of the field that an expression selects so."""
    if selected.startswith("__") and selected[2:-2] in KEYWORDS and selected.endswith("__"):
        return selected[2:-2]
    return _WORD.sub(lambda found: _READ[found[0]], selected)


def as_resource(schema: Schema) -> Schema:
    """Return the schema of a resource with the fields that every resource has."""
    return {**schema, "properties": {**(schema.get("properties") or {}), **_ROOT}}


def declared(schema: Any, name: str, *, is_resource: bool = False) -> Type | None:
    """Return the type of what has `schema`, an object's called `name`; None for what expressions do not see."""
    if not isinstance(schema, dict):
        return None
    if schema.get("x-kubernetes-int-or-string"):
        return types.DYN
    if is_resource or schema.get("x-kubernetes-embedded-resource"):
        schema = as_resource(schema)
    match schema.get("type"):
        case "array":
            item = declared(schema.get("items"), f"{name}.@idx")
            return types.list_of(item) if item else None
        case "object":
            return _declared_object(schema, name)
        case "string":
            return _TEXTS.get(schema.get("format") or "", types.STRING)
        case str() as scalar:
            return _SCALARS.get(scalar)
    return None


def _declared_object(schema: Schema, name: str) -> Type | None:
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        value = declared(additional, f"{name}.@elem")
        return types.map_of(types.STRING, value) if value else None
    fields: dict[str, Type] = {}
    for field, below in (schema.get("properties") or {}).items():
        selected, of = escaped(field), declared(below, f"{name}.{field}")
        if selected and of:
            fields[selected] = of
    return Type(name, fields=fields)


def reader(schema: Any) -> Reader | None:
    """Return what makes of JSON under `schema` the value that expressions see; None when it is the same."""
    if not isinstance(schema, dict) or schema.get("x-kubernetes-int-or-string"):
        return None
    match schema.get("type"):
        case "number":
            return _as_double
        case "string" if schema.get("format") in _TEXTS:
            return partial(_read_text, schema["format"])
        case "array":
            return _list_reader(schema)
        case "object":
            return _object_reader(schema)
    return None


def _read(how: Reader | None, value: Any) -> Any:
    return how(value) if how else value


def _as_double(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _read_text(named: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        match named:
            case "byte":
                return b64decode(value, validate=True)
            case "duration":
                return parse_duration(value)
            case "date":
                return parse_timestamp(f"{value}T00:00:00Z")
            case _:
                return parse_timestamp(value)
    except (ValueError, EvaluationError) as error:
        raise EvaluationError(f"Invalid {named} formatted string {value}: {error}") from error


def _list_reader(schema: Schema) -> Reader | None:
    kind, item = schema.get("x-kubernetes-list-type"), reader(schema.get("items"))
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    if item is None and kind not in ("set", "map"):
        return None

    def read(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        items = [_read(item, each) for each in value]
        return SetList(items) if kind == "set" else MapList(items, keys) if kind == "map" else items

    return read


def _is_nullable(schema: Any) -> bool:
    return isinstance(schema, dict) and bool(schema.get("nullable"))


def _object_reader(schema: Schema) -> Reader | None:
    additional = reader(schema.get("additionalProperties"))
    properties: Schema = schema.get("properties") or {}
    fields = {name: how for name, below in properties.items() if (how := reader(below))}
    nullable = frozenset(name for name, below in properties.items() if _is_nullable(below))
    if additional is None and not fields and not nullable:
        return None

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        # A field that is null is as good as absent.
        return {
            name: _read(fields.get(name, additional), item)
            for name, item in value.items()
            if item is not None or name not in nullable
        }

    return read
