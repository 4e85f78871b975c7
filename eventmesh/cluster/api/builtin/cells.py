"""What cells of tables are made of, whatever the kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from eventmesh.cluster.api.age import age
from eventmesh.cluster.api.catalog import Column
from eventmesh.kube.api import Object

Cells = Callable[[Object, datetime], list[Any]]
Rows = dict[str, tuple[tuple[Column, ...], Cells]]
"""Columns and cells, by kind."""
NONE = "<none>"


def columns(text: str) -> tuple[Column, ...]:
    """Read `Ready Status Age *IP`: a star marks a column of `-o wide`, an underscore is a blank."""
    return tuple(
        Column(word.lstrip("*").replace("_", " "), priority=1 if word.startswith("*") else 0) for word in text.split()
    )


def age_of(obj: Object, now: datetime) -> str:
    """Return how old an object is."""
    return age(obj["metadata"].get("creationTimestamp"), now)


def status_of(obj: Object) -> Object:
    """Return an object's status; empty where there is none."""
    return obj.get("status") or {}


def spec_of(obj: Object) -> Object:
    """Return an object's spec; empty where there is none."""
    return obj.get("spec") or {}


def selector_of(labels: dict[str, str] | None) -> str:
    """Return labels as a selector is written, in order."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def images_of(template: Object) -> tuple[str, str]:
    """Return the names and the images of the containers of a template."""
    containers = ((template.get("spec") or {}).get("containers")) or []
    names = ",".join(container.get("name", "") for container in containers)
    return names, ",".join(container.get("image", "") for container in containers)


def some_of(values: list[str], shown: int = 3) -> str:
    """Return the first few values, and how many more there are."""
    if not values:
        return NONE
    more = f" + {len(values) - shown} more..." if len(values) > shown else ""
    return ",".join(values[:shown]) + more
