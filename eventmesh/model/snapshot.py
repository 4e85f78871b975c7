"""One immutable, versioned configuration of a data plane; a request sees exactly one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

from eventmesh.base.frozen import frozen
from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import Listener
from eventmesh.model.route import RouteTable
from eventmesh.model.tagged import Tagged

if TYPE_CHECKING:
    from eventmesh.model.policy import Filters
    from eventmesh.model.tracing import Tracing


@frozen
class Snapshot:
    """Everything the core needs to decide what happens to a request."""

    version: str
    listeners: tuple[Listener, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    tracing: Tracing | None = None
    """How listeners trace that do not say it themselves, and what this process sends."""

    def filters(self) -> Iterator[Filters]:
        """Yield the filters of each listener and each route that has any."""
        yield from (listener.filters for listener in self.listeners if listener.filters is not None)
        for table in self.route_tables:
            for host in table.virtual_hosts:
                yield from (route.filters for route in host.routes if route.filters is not None)

    def to_core(self) -> bytes:
        """Return the JSON that `Engine.apply` reads; the shape is `crates/core/src/config.rs`."""
        return CoreEncoder().encode(self)


class CoreEncoder:
    """Encodes one snapshot after the other: what is the same object as before is not encoded again.

    A change of one cluster's endpoints among a thousand then costs what that cluster costs, and a change of one virtual
    host, or of one route among many, what that costs.
    """

    def __init__(self) -> None:
        self._before: dict[int, _Encoded] = {}
        self._inside: dict[tuple[str, ...], dict[int, _Encoded]] = {}
        """What route tables and virtual hosts consist of, by their names."""

    def encode(self, snapshot: Snapshot) -> bytes:
        """Return `snapshot.to_core()`."""
        now: dict[int, _Encoded] = {}
        inside, self._inside = self._inside, {}
        tables = ",".join(self._table(table, inside) for table in snapshot.route_tables)
        sections = [
            f'"version":{json.dumps(snapshot.version)}',
            f'"listeners":[{_joined(snapshot.listeners, self._before, now)}]',
            f'"route_tables":[{tables}]',
            f'"clusters":[{_joined(snapshot.clusters, self._before, now)}]',
        ]
        if snapshot.tracing is not None:
            sections.append(f'"tracing":{_json(snapshot.tracing)}')
        self._before = now
        return f"{{{','.join(sections)}}}".encode()

    def _table(self, table: RouteTable, inside: Mapping[tuple[str, ...], dict[int, _Encoded]]) -> str:
        where = (table.name,)
        before, now = inside.get(where, {}), self._inside.setdefault(where, {})
        hosts = []
        for host in table.virtual_hosts:
            if len(host.routes) < MANY_ROUTES:
                hosts.append(_text(host, before, now))
                continue
            within = (table.name, host.name)
            routes = _joined(host.routes, inside.get(within, {}), self._inside.setdefault(within, {}))
            bare = _json(replace(host, routes=()))
            hosts.append(bare.replace('"routes":[]', f'"routes":[{routes}]', 1))
        return f'{{"name":{json.dumps(table.name)},"virtual_hosts":[{",".join(hosts)}]}}'


_Encoded = tuple[object, str]
"""A part beside its text: kept, so that its id cannot be given to another object."""

MANY_ROUTES = 16
"""From so many on the routes of one host are encoded and remembered one by one."""


def _joined(parts: Iterable[object], before: Mapping[int, _Encoded], now: dict[int, _Encoded]) -> str:
    return ",".join([_text(part, before, now) for part in parts])


def _text(part: object, before: Mapping[int, _Encoded], now: dict[int, _Encoded]) -> str:
    encoded = now[id(part)] = before.get(id(part)) or (part, _json(part))
    return encoded[1]


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
