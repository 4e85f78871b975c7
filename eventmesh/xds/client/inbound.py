"""How a workload's own inbound listeners speak TLS and whom they let through: as the bootstrap says at first, then as
control says.

Both say it in a listener named `inbound`, of which only its TLS and its filters count: where the workload listens, and
what becomes of requests, it knows itself.

Where control's first terms cannot be carried out there are no former ones to go on by: then nobody is let in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from eventmesh.base import log
from eventmesh.dataplane.plane import DataPlane
from eventmesh.model.access import AccessStep, Off, Rbac, RuleAction, Rules
from eventmesh.model.listener import Listener
from eventmesh.model.policy import Filters
from eventmesh.model.route import Route, RouteTable
from eventmesh.model.snapshot import Snapshot
from eventmesh.xds.bootstrap import Bootstrap
from eventmesh.xds.translate.resources import StaticResources

INBOUND: Final = "inbound"

CLOSED: Final = "closed"
"""Name of the step of access that lets nobody in."""

OPEN: Final = Filters(access=(AccessStep(CLOSED, Off()),))
"""Of a route of the workload's own: it is for everybody, whatever the terms are."""

_log = log.get("xds.client.inbound")


def first_terms(bootstrap: Bootstrap) -> Listener | None:
    """Return the listener `inbound` as it holds before control has been heard; None: clear text for everybody."""
    found = next((item for item in bootstrap.resources.listeners if item.listener.name == INBOUND), None)
    resolved = found.with_secrets(bootstrap.resources.secrets) if found is not None else None
    return resolved.listener if resolved is not None else None


Chosen = Callable[[str], bool]
"""Tells by its name whether a listener takes requests of the mesh."""


def on_terms(snapshot: Snapshot, chosen: Chosen, terms: Listener | None) -> Snapshot:
    """Return `snapshot` with its chosen listeners speaking TLS, and asking callers, as the listener `terms` does; one
    that has certificates of its own goes on to show them. Routes that are OPEN ask nobody."""
    if terms is None:
        return snapshot
    listeners = tuple(
        dataclasses.replace(listener, tls=listener.tls or terms.tls, filters=terms.filters)
        if chosen(listener.name)
        else listener
        for listener in snapshot.listeners
    )
    tables = snapshot.route_tables
    if terms.filters is not None:
        steps = [*OPEN.access, *(AccessStep(one.name, Off()) for one in terms.filters.access if one.name != CLOSED)]
        tables = tuple(_opened(table, Filters(access=tuple(steps))) for table in tables)
    return dataclasses.replace(snapshot, listeners=listeners, route_tables=tables)


def _opened(table: RouteTable, filters: Filters) -> RouteTable:
    """Return `table` with `filters` for its routes that are OPEN."""
    if not any(route.filters is OPEN for host in table.virtual_hosts for route in host.routes):
        return table

    def opened(route: Route) -> Route:
        return dataclasses.replace(route, filters=filters) if route.filters is OPEN else route

    hosts = (dataclasses.replace(host, routes=tuple(map(opened, host.routes))) for host in table.virtual_hosts)
    return dataclasses.replace(table, virtual_hosts=tuple(hosts))


def beyond_inbound(resources: StaticResources) -> StaticResources:
    """Return what a control plane may add to: the listener `inbound` is its to change."""
    listeners = tuple(item for item in resources.listeners if item.listener.name != INBOUND)
    return dataclasses.replace(resources, listeners=listeners)


class InboundTerms:
    """Puts Snapshots into force on `plane`, with its chosen listeners on the terms of the listener `inbound` there."""

    def __init__(self, plane: DataPlane, own: Snapshot, chosen: Chosen, terms: Listener | None) -> None:
        """`plane` has been made with `on_terms(own, chosen, terms)`."""
        self._plane = plane
        self._own = own
        self._chosen = chosen
        self._terms = terms
        self._base = Snapshot(version="")
        self._are_controls = terms is not None and terms.filters is not None
        """Control has said whom to let in, be it that it said nothing: what it says next may be refused."""
        self.is_closed = False
        """Nobody is let in: control's first terms have been refused."""

    async def apply(self, snapshot: Snapshot) -> None:
        """Put `snapshot` into force; raises what `DataPlane.apply` raises, and changes nothing then."""
        found = next((listener for listener in snapshot.listeners if listener.name == INBOUND), None)
        base = snapshot
        if found is not None:
            # Its routes go with it: they are empty, and a table of that name is the workload's own.
            base = dataclasses.replace(
                snapshot,
                listeners=tuple(listener for listener in snapshot.listeners if listener is not found),
                route_tables=tuple(table for table in snapshot.route_tables if table.name != found.route_table),
            )
        terms = found if found is not None else self._terms
        await self._put(base, self._own, terms, is_closed=self.is_closed and found is None)
        self._base, self._terms = base, terms
        if found is not None:
            self._are_controls, self.is_closed = True, False

    async def refused(self, names: frozenset[str], waiting: frozenset[str]) -> None:
        """Take note of which listeners, of all that control has named, are refused, and which are `waiting` to go live:
        with the first that it says of `inbound` everybody is refused, until something that it says of it is in force or
        it says nothing of it. Raises what `apply` raises."""
        if INBOUND in names and not self._are_controls:
            if not self.is_closed:
                _log.error("what control says of who may come in is refused, and nothing was said before: nobody may")
            self.is_closed = True
            await self._put(self._base, self._own, self._terms, is_closed=True)
        elif INBOUND not in names | waiting:
            self._are_controls = True
            if self.is_closed:
                await self._put(self._base, self._own, self._terms, is_closed=False)
                self.is_closed = False

    async def extend(self, own: Snapshot) -> None:
        """Replace what the process itself adds; raises what `DataPlane.extend` raises."""
        await self._put(self._base, own, self._terms, is_closed=self.is_closed)
        self._own = own

    async def _put(self, base: Snapshot, own: Snapshot, terms: Listener | None, *, is_closed: bool) -> None:
        if is_closed:
            terms = _closed(terms)
        await self._plane.replace(on_terms(base, self._chosen, terms), on_terms(own, self._chosen, terms))


def _closed(terms: Listener | None) -> Listener:
    """Return `terms` as they let nobody in."""
    closed = Filters(access=(AccessStep(CLOSED, Rbac(Rules(RuleAction.ALLOW))),))
    return dataclasses.replace(terms or Listener(INBOUND, "", ""), filters=closed)
