"""How a workload's own inbound listeners speak TLS and whom they let through: as the bootstrap says at first, then as
control says.

Both say it in a listener named `inbound`, of which only its TLS and its filters count: where the workload listens, and
what becomes of requests, it knows itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from eventmesh.dataplane.plane import DataPlane
from eventmesh.model.snapshot import Snapshot
from eventmesh.xds.bootstrap import Bootstrap
from eventmesh.xds.translate.resources import StaticResources

if TYPE_CHECKING:
    from eventmesh.model.listener import Listener

INBOUND: Final = "inbound"


def first_terms(bootstrap: Bootstrap) -> Listener | None:
    """Return the listener `inbound` as it holds before control has been heard; None: clear text for everybody."""
    found = next((item for item in bootstrap.resources.listeners if item.listener.name == INBOUND), None)
    resolved = found.with_secrets(bootstrap.resources.secrets) if found is not None else None
    return resolved.listener if resolved is not None else None


Chosen = Callable[[str], bool]
"""Tells by its name whether a listener takes requests of the mesh."""


def on_terms(snapshot: Snapshot, chosen: Chosen, terms: Listener | None) -> Snapshot:
    """Return `snapshot` with its chosen listeners speaking TLS, and asking callers, as the listener `terms` does; one
    that has certificates of its own goes on to show them."""
    if terms is None:
        return snapshot
    listeners = tuple(
        dataclasses.replace(listener, tls=listener.tls or terms.tls, filters=terms.filters)
        if chosen(listener.name)
        else listener
        for listener in snapshot.listeners
    )
    return dataclasses.replace(snapshot, listeners=listeners)


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
        base = on_terms(base, self._chosen, terms)
        await self._plane.replace(base, on_terms(self._own, self._chosen, terms))
        self._base, self._terms = base, terms

    async def extend(self, own: Snapshot) -> None:
        """Replace what the process itself adds; raises what `DataPlane.extend` raises."""
        await self._plane.replace(self._base, on_terms(own, self._chosen, self._terms))
        self._own = own
