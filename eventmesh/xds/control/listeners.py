"""The listeners that control gives to gateways and activators: where they are, by which routes, with what on show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from eventmesh.kube.observability import TracingSettings
from eventmesh.xds.control import envoy
from eventmesh.xds.control.envoy import HttpListener
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.tables import ACTIVATOR, LOCAL, PUBLIC, SECURE
from eventmesh.xds.control.tracing import manager_tracing

_EDGES = (Role.GATEWAY, Role.ENVOY)

LISTENED_TABLES = {
    Role.GATEWAY: frozenset((PUBLIC, LOCAL)),
    Role.ENVOY: frozenset((PUBLIC, LOCAL)),
    Role.ACTIVATOR: frozenset((ACTIVATOR,)),
}
"""Route tables the listeners of a role refer to: without them a client does not serve."""


class Listeners:
    """The listeners of each role, by name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tracing: TracingSettings | None = None
        self._secrets: tuple[str, ...] = ()
        self._on_demand: Mapping[str, Resource] | None = None
        self._built = self._build()

    def of(self, role: Role) -> Mapping[str, Resource]:
        """Return what clients of `role` listen on; empty for those who know that better than control."""
        return self._built.get(role, {})

    def on_demand(self) -> Mapping[str, Resource]:
        """Return what an Envoy listens on that asks for virtual hosts when requests name them."""
        if self._on_demand is None:
            self._on_demand = {one.name: self._listener(one, Role.ENVOY, on_demand=True) for one in self._edge()}
        return self._on_demand

    def trace(self, tracing: TracingSettings | None) -> None:
        """Have requests traced as `tracing` says; None: not at all."""
        self._tracing = tracing
        self._built = self._build()

    def show(self, secrets: Iterable[str]) -> None:
        """Listen for TLS at the edge with these certificates, by the names of their Secrets; without any, do not."""
        self._secrets = tuple(sorted(secrets))
        self._built = self._build()

    def _build(self) -> dict[Role, dict[str, Resource]]:
        self._on_demand = None
        activator = HttpListener("activator", *self._settings.activator, table=ACTIVATOR, via="activator")
        return {
            **{role: {one.name: self._listener(one, role) for one in self._edge()} for role in _EDGES},
            Role.ACTIVATOR: {activator.name: self._listener(activator, Role.ACTIVATOR)},
        }

    def _edge(self) -> list[HttpListener]:
        where = self._settings
        edge = [
            HttpListener("public", *where.public, table=PUBLIC, via="gateway", is_edge=True),
            HttpListener("local", *where.local, table=LOCAL, via="gateway", is_edge=True),
        ]
        if self._secrets:
            shown = self._secrets
            edge.append(HttpListener(SECURE, *where.secure, table=SECURE, via="gateway", is_edge=True, secrets=shown))
        return edge

    def _listener(self, listener: HttpListener, role: Role, *, on_demand: bool = False) -> Resource:
        # Envoy is told how to trace by its listener, our own data planes by their bootstrap's cluster.
        is_told = role is Role.ENVOY and self._tracing is not None
        told = manager_tracing(self._tracing) if is_told and self._tracing is not None else None
        return envoy.http_listener(listener, for_envoy=role is Role.ENVOY, on_demand=on_demand, tracing=told)
