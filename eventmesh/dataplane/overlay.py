"""Two snapshots in force together: what configuration brings and what the process itself adds."""

from __future__ import annotations

import dataclasses

from eventmesh.base.errors import ConfigError
from eventmesh.model.snapshot import Snapshot


def overlay(base: Snapshot, own: Snapshot) -> Snapshot:
    """Return both together.

    A route table of `own` is a default that one of the same name in `base` replaces (an outbound listener is open
    before its routes have come). Listeners and clusters must differ in name: ConfigError.
    """
    for kind, ours, theirs in (
        ("listener", own.listeners, base.listeners),
        ("cluster", own.clusters, base.clusters),
    ):
        taken = {item.name for item in theirs}
        for item in ours:
            if item.name in taken:
                raise ConfigError(f"{kind} {item.name}", "this name belongs to the process itself; choose another")
    replaced = {table.name for table in base.route_tables}
    defaults = tuple(table for table in own.route_tables if table.name not in replaced)
    return dataclasses.replace(
        base,
        listeners=base.listeners + own.listeners,
        route_tables=base.route_tables + defaults,
        clusters=base.clusters + own.clusters,
    )
