"""Requests of the function into the mesh: the lightweight client's addresses, inside the pod's network namespace.

`127.0.0.1:15001` is an HTTP forward proxy (the function has it as `HTTP_PROXY`; a plain request with a mesh host works
too), `127.0.0.1:12220` takes Bolt, SOFA's own port for a local sidecar. Both route by tables that control publishes.
"""

from __future__ import annotations

from typing import Final

from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.route import RouteTable
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tracing import Traffic
from eventmesh.sidecar.environment import Pod
from eventmesh.transport.address import InetAddress

HTTP_PORT: Final = 15001
BOLT_PORT: Final = 12220

TABLES: Final = ("local", "bolt")
"""Route tables that control publishes for every sidecar."""

HTTP: Final = "outbound"
BOLT: Final = "outbound-bolt"


def outbound(pod: Pod) -> Snapshot:
    """Return the listeners; they are held until control has sent their tables, so that what a function sends in its
    first moment waits for the routes (`sidecar.app`)."""
    return Snapshot(
        version="",
        listeners=(
            Listener(
                HTTP,
                str(InetAddress(pod.outbound_host, HTTP_PORT)),
                "local",
                protocol=WireProtocol.AUTO,
                via="sidecar",
                traffic=Traffic.OUTBOUND,
            ),
            Listener(
                BOLT,
                str(InetAddress(pod.outbound_host, BOLT_PORT)),
                "bolt",
                protocol=WireProtocol.BOLT,
                traffic=Traffic.OUTBOUND,
            ),
        ),
        route_tables=(RouteTable("local"), RouteTable("bolt")),
    )


def listener_names() -> tuple[str, ...]:
    """Return the listeners that are opened inside the pod's network namespace."""
    return HTTP, BOLT
