"""One immutable, versioned configuration of a data plane; a request sees exactly one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import Listener
from eventmesh.model.route import RouteTable
from eventmesh.model.tagged import Tagged

if TYPE_CHECKING:
    from eventmesh.model.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the core needs to decide what happens to a request."""

    version: str
    listeners: tuple[Listener, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    tracing: Tracing | None = None
    """How listeners trace that do not say it themselves, and what this process sends."""

    def to_core(self) -> bytes:
        """Return the JSON that `Engine.apply` reads; the shape is `crates/core/src/config.rs`."""
        return CoreEncoder().encode(self)


class CoreEncoder:
    """Encodes one snapshot after the other: what is the same object as before is not encoded again.

    A change of one cluster's endpoints among a thousand then costs what that cluster costs.
    """

    def __init__(self) -> None:
        self._encoded: dict[int, tuple[object, str]] = {}

    def encode(self, snapshot: Snapshot) -> bytes:
        """Return `snapshot.to_core()`."""
        encoded: dict[int, tuple[object, str]] = {}
        sections = [f'"version":{json.dumps(snapshot.version)}']
        for name in ("listeners", "route_tables", "clusters"):
            parts: tuple[object, ...] = getattr(snapshot, name)
            for part in parts:
                # The part is kept beside its text, so that its id cannot be given to another object.
                encoded[id(part)] = self._encoded.get(id(part)) or (part, _json(part))
            sections.append(f'"{name}":[{",".join(encoded[id(part)][1] for part in parts)}]')
        if snapshot.tracing is not None:
            sections.append(f'"tracing":{_json(snapshot.tracing)}')
        self._encoded = encoded
        return f"{{{','.join(sections)}}}".encode()


def _members(value: object) -> object:
    """Turn an enum or a value of the model into what JSON knows; those that are `Tagged` are tagged by their type."""
    if isinstance(value, Enum):
        return value.value
    # Values are slotted dataclasses: their slots are their fields.
    slots: tuple[str, ...] = getattr(value, "__slots__", ())
    members = {name: getattr(value, name) for name in slots}
    return {_tag(type(value).__name__): members} if isinstance(value, Tagged) else members


_json = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=_members).encode
"""Immutable values hold no cycles, so nobody looks for them."""


@cache
def _tag(words: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in words).lstrip("_")
