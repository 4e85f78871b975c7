"""How a test's `AdsClient` reaches a control plane: as in the product, through an engine of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eventmesh.base.clock import SystemClock
from eventmesh.dataplane.overlay import overlay
from eventmesh.dataplane.plane import DataPlane
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import WireProtocol
from eventmesh.model.snapshot import Snapshot
from eventmesh.xds.bootstrap import AdsConfig
from eventmesh.xds.client.channel import OpenCall, calls_through, route_to_control

CLUSTER = "control"


@asynccontextmanager
async def calls_to(address: str, config: AdsConfig) -> AsyncIterator[OpenCall]:
    """Run an engine whose one cluster is the control plane at `address`."""
    control = Cluster(CLUSTER, (Endpoint(address),), protocol=WireProtocol.HTTP2)
    own = overlay(route_to_control(config), Snapshot(version="", clusters=(control,)))
    plane = DataPlane(SystemClock(), {}, own=own)
    try:
        await plane.start()
        yield calls_through(plane.caller, config)
    finally:
        await plane.stop()
