"""What a process adds to its configuration by itself."""

from __future__ import annotations

from eventmesh.dataplane import admin
from eventmesh.dataplane.overlay import overlay
from eventmesh.model.snapshot import Snapshot
from eventmesh.xds.bootstrap import Bootstrap


def added_by_process(bootstrap: Bootstrap) -> Snapshot:
    """Return its admin pages and the way to its control plane."""
    pages = admin.pages(bootstrap.admin) if bootstrap.admin else Snapshot(version="")
    if bootstrap.ads is None:
        return pages
    from eventmesh.xds.client.channel import route_to_control

    return overlay(pages, route_to_control(bootstrap.ads))
