"""Tables: what `kubectl get` prints, computed by the server (`meta/v1 Table`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from eventmesh.cluster.api import jsonpath
from eventmesh.cluster.api.age import age
from eventmesh.cluster.api.catalog import Column, Served
from eventmesh.kube.api import Object

_NAME = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": "Name must be unique within a namespace.",
    "priority": 0,
}
_AGE = (Column("Age", ".metadata.creationTimestamp", "date"),)


def table(served: Served, objects: Sequence[Object], metadata: Object, include: str, now: datetime) -> Object:
    """Return the Table of `objects`; `include` is Metadata, Object or None, as the query says."""
    columns = served.columns or _AGE
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": ([] if _names_itself(columns) else [_NAME]) + [_definition(column) for column in columns],
        "rows": [_row(served, columns, obj, include, now) for obj in objects],
    }


def partial(obj: Object) -> Object:
    """Return the metadata of `obj` alone, as an object (`meta/v1 PartialObjectMetadata`)."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def partial_list(objects: Sequence[Object], metadata: Object) -> Object:
    """Return the metadata alone of each of `objects`."""
    items = [partial(obj) for obj in objects]
    return {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items}


def _names_itself(columns: Sequence[Column]) -> bool:
    """Return whether the kind has a place of its own for the name; Events show it last, and only when asked."""
    return any(column.name == _NAME["name"] for column in columns)


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": "",
        "description": column.description,
        "priority": column.priority,
    }


def _row(served: Served, columns: Sequence[Column], obj: Object, include: str, now: datetime) -> Object:
    cells = served.cells(obj, now) if served.cells is not None else [_cell(column, obj, now) for column in columns]
    row: Object = {"cells": cells if _names_itself(columns) else [obj["metadata"]["name"], *cells]}
    match include:
        case "Object":
            row["object"] = obj
        case "None":
            row["object"] = None
        case _:
            row["object"] = partial(obj)
    return row


def _cell(column: Column, obj: Object, now: datetime) -> Any:
    value = jsonpath.first(obj, column.path)
    match column.type, value:
        case "date", str():
            return age(value, now)
        case "string", None | str():
            return value
        case "string", _:
            return json.dumps(value, separators=(",", ":"))
        case "boolean", bool():
            return value
        case "integer" | "number", bool():
            return None
        case "integer", int() | float():
            return int(value)
        case "number", int() | float():
            return value
        case _:
            return None
