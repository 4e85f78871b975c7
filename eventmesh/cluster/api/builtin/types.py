"""The table of built-in messages (`types.txt`): one source for protobuf bodies, structural schemas and OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.builtin.topology import (
    ATOMIC_MAPS,
    ATOMIC_MESSAGES,
    KEY_DEFAULTS,
    LIST_KEYS,
    PATCH_KEYS,
    SET_LISTS,
)

INLINE = "~"
"""The name of a field whose own fields are spelled in its parent."""
_TABLE = Path(__file__).with_name("types.txt")


@frozen
class FieldType:
    """One field of a message."""

    number: int
    name: str
    shape: str
    """The type of the value, or of each item."""
    is_list: bool
    is_map: bool
    keeps_zero: bool
    """Whether a zero on the wire was meant (a pointer in Go), and not merely the absence of a value."""


@frozen
class MessageType:
    """One message."""

    name: str
    fields: tuple[FieldType, ...]
    by_number: Mapping[int, FieldType]


@cache
def message_types() -> Mapping[str, MessageType]:
    """Return every message of the table by name (`core.Pod`, `autoscaling/v2.HorizontalPodAutoscaler`)."""
    lines = (line.split() for line in _TABLE.read_text().splitlines() if not line.startswith("#"))
    return {name: _message(name, fields) for name, *fields in lines}


def _message(name: str, texts: list[str]) -> MessageType:
    fields = tuple(_field(text) for text in texts)
    return MessageType(name, fields, {field.number: field for field in fields})


def _field(text: str) -> FieldType:
    number, name, shape = text.split(":")
    keeps_zero = shape.endswith("?")
    shape = shape.removesuffix("?")
    is_list, is_map = shape.startswith("[]"), shape.startswith("{}")
    return FieldType(int(number), name, shape[2:] if is_list or is_map else shape, is_list, is_map, keeps_zero)


_SHORT_GROUP = {
    "": "core",
    "rbac.authorization.k8s.io": "rbac",
    "networking.k8s.io": "networking",
    "certificates.k8s.io": "certificates",
    "coordination.k8s.io": "coordination",
    "discovery.k8s.io": "discovery",
    "events.k8s.io": "events",
    "authorization.k8s.io": "authorization",
    "authentication.k8s.io": "authentication",
    "storage.k8s.io": "storage",
    "scheduling.k8s.io": "scheduling",
}


def find_type(api_version: str, kind: str) -> MessageType | None:
    """Return the message of a kind, or None when the table does not have it."""
    group, _, version = api_version.rpartition("/")
    if kind == "DeleteOptions":
        return message_types()["meta.DeleteOptions"]
    short = _SHORT_GROUP.get(group, group)
    name = f"{short}.{kind}" if version == "v1" else f"{short}/{version}.{kind}"
    return message_types().get(name)


_SCALARS: Mapping[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "double": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
    "microtime": {"type": "string", "format": "date-time"},
    "duration": {"type": "string"},
    "quantity": {"x-kubernetes-int-or-string": True},
    "intorstring": {"x-kubernetes-int-or-string": True},
    "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "fields": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    # A list inside a map: `extra` of the reviews.
    "[]string": {"type": "array", "items": {"type": "string"}},
}


def scalar_schema(shape: str) -> dict[str, Any] | None:
    """Return the schema of a shape that is not a message, or None."""
    return _SCALARS.get(shape)


@cache
def structural_schema(name: str) -> dict[str, Any]:
    """Return the structural schema of the message `name`; shared, not to be changed.

    Everything may be null, as Go reads null as absent.
    """
    properties: dict[str, Any] = {}
    for field in message_types()[name].fields:
        scalar = scalar_schema(field.shape)
        inner = structural_schema(field.shape) if scalar is None else {**scalar, "nullable": True}
        if field.name == INLINE:
            properties.update(inner["properties"])
            continue
        where = f"{name}.{field.name}"
        if where in KEY_DEFAULTS:
            inner = {**inner, "default": KEY_DEFAULTS[where]}
        if field.is_list:
            inner = {"type": "array", "items": inner, "nullable": True}
        elif field.is_map:
            inner = {"type": "object", "additionalProperties": inner, "nullable": True}
        properties[field.name] = {**inner, **topology_markers(where)}
    topology = {"x-kubernetes-map-type": "atomic"} if name in ATOMIC_MESSAGES else {}
    return {"type": "object", "properties": properties, "nullable": True, **topology}


def topology_markers(where: str) -> dict[str, Any]:
    """Return how the field `where` (message and field) is merged, in the words of a CRD's schema."""
    if where in LIST_KEYS:
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(LIST_KEYS[where])}
    if where in SET_LISTS:
        return {"x-kubernetes-list-type": "set"}
    return {"x-kubernetes-map-type": "atomic"} if where in ATOMIC_MAPS else {}


def patch_markers(where: str) -> dict[str, Any]:
    """Return how a strategic merge treats the field `where`, in the words of OpenAPI."""
    strategy, key = PATCH_KEYS.get(where, ("", ""))
    markers = {"x-kubernetes-patch-strategy": strategy, "x-kubernetes-patch-merge-key": key}
    return {name: value for name, value in markers.items() if value}


def kind_schema(api_version: str, kind: str) -> dict[str, Any] | None:
    """Return the structural schema of a kind, or None when the table does not have it."""
    found = find_type(api_version, kind)
    return None if found is None else structural_schema(found.name)
