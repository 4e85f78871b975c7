"""One immutable, versioned configuration of a data plane; a request sees exactly one."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from enum import Enum

from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import Listener
from eventmesh.model.route import RouteTable


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the core needs to decide what happens to a request."""

    version: str
    listeners: tuple[Listener, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    clusters: tuple[Cluster, ...] = ()

    def to_core(self) -> bytes:
        """Return the JSON that `Engine.apply` reads; the shape is `crates/core/src/config.rs`."""
        return json.dumps(_plain(self), separators=(",", ":")).encode()


def _plain(value: object) -> object:
    """Turn dataclasses, enums and tuples into what JSON knows; a route's action is tagged by its type."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _field(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _field(name: str, value: object) -> object:
    return {_tag(value): _plain(value)} if name == "action" else _plain(value)


def _tag(value: object) -> str:
    words = type(value).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in words).lstrip("_")
