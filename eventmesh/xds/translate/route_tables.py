"""Route tables read again and again: what is byte for byte as it was the last time is not read again.

A control plane sends a table whole whenever one of its hosts changes. In a mesh of a thousand functions that is a
megabyte of which one host is news; reading all of it took a second of every gateway, at every change.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.model.route import Route, RouteTable, VirtualHost
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.types import type_of_url
from eventmesh.xds.schema.wire import cut_messages, read_wire
from eventmesh.xds.translate.route import (
    check_domains,
    host_context,
    read_route,
    table_context,
    virtual_host,
)

MANY_ROUTES: Final = 16
"""From so many on the routes of one host are remembered one by one: the activator has a single host with a route a
revision. Most hosts have a handful, which are read together faster than they are told apart."""


@frozen
class _Host:
    """A virtual host that was read."""

    host: VirtualHost
    own: bytes
    """Its bytes but for the routes, which name those in `_Former.routes`; empty: they are remembered with it alone."""


@dataclass(slots=True)
class _Former:
    """What was read of one table, by its bytes."""

    surroundings: bytes = b""
    """The table but for its hosts: what every one of them is read in the light of."""
    hosts: dict[bytes, _Host] = field(default_factory=dict)
    routes: dict[bytes, dict[bytes, Route]] = field(default_factory=dict)
    """By the host but for its routes: each of them."""


class RouteTables:
    """Reads tables, and remembers the pieces of the last good version of each."""

    def __init__(self) -> None:
        self._former: dict[str, _Former] = {}

    def read(self, name: str, data: bytes, warnings: list[str]) -> RouteTable:
        """Return the table in `data`, a `route.RouteConfiguration` that must be called `name`.

        Raises ConfigError as `read_wire` and `read_route_table` do; what is remembered stays as it was then.
        """
        reading = _Reading(data, self._former.get(name), warnings)
        if reading.name != name:
            raise ConfigError("name", f"is {reading.name!r}, but the resource is called {name!r}")
        hosts = reading.hosts()
        check_domains(hosts, "")
        warnings.extend(f"{name}: {warning}" for warning in reading.noticed)
        self._former[name] = reading.now
        return RouteTable(name, hosts)

    def forget_all_but(self, names: Set[str]) -> None:
        """Remember nothing of tables that nobody wants any more."""
        for name in self._former.keys() - names:
            del self._former[name]


class _Reading:
    """One version of a table on its way from bytes to values."""

    def __init__(self, data: bytes, former: _Former | None, warnings: list[str]) -> None:
        table = type_of_url(ResourceType.ROUTE.value)
        hosts = table.by_name["virtual_hosts"]
        self._host_type = hosts.message
        self._routes = self._host_type.by_name["routes"]
        self.noticed: list[str] = []
        """What is harmless but unsupported, by its path."""
        surroundings, self._chunks = cut_messages(data, hosts.number, "")
        configuration = read_wire(table, surroundings, "", self.noticed)
        self.name = configuration.text("name")
        self._context = table_context(configuration, warnings)
        self._former = former if former is not None and former.surroundings == surroundings else _Former()
        self.now = _Former(surroundings)

    def hosts(self) -> tuple[VirtualHost, ...]:
        return tuple(self._host(chunk, f"virtual_hosts[{i}]") for i, chunk in enumerate(self._chunks))

    def _host(self, chunk: bytes, path: str) -> VirtualHost:
        known = self._former.hosts.get(chunk)
        if known is None:
            said = self._said()
            known = self._read_host(chunk, path)
            if self._said() != said:
                # Not remembered: whoever reads it the next time is to be told as well.
                return known.host
        elif known.own:
            self.now.routes[known.own] = self._former.routes[known.own]
        self.now.hosts[chunk] = known
        return known.host

    def _read_host(self, chunk: bytes, path: str) -> _Host:
        own, chunks = cut_messages(chunk, self._routes.number, path)
        message = read_wire(self._host_type, own, path, self.noticed)
        context = host_context(message, self._context)
        former = self._former.routes.get(own, {})
        now: dict[bytes, Route] = {}
        routes = []
        for i, route_chunk in enumerate(chunks):
            said = self._said()
            route = former.get(route_chunk)
            if route is None:
                route = read_route(
                    read_wire(self._routes.message, route_chunk, f"{path}.routes[{i}]", self.noticed), context
                )
            if self._said() == said:
                now[route_chunk] = route
            routes.append(route)
        has_many = len(chunks) >= MANY_ROUTES
        if has_many:
            self.now.routes[own] = now
        return _Host(virtual_host(message, tuple(routes)), own if has_many else b"")

    def _said(self) -> int:
        return len(self.noticed) + len(self._context.warnings)
