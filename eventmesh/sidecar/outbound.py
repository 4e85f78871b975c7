"""Requests of the function into the mesh: the lightweight client's addresses, inside the pod's network namespace.

`127.0.0.1:15001` is an HTTP forward proxy (the function has it as `HTTP_PROXY`; a plain request with a mesh host works
too), `127.0.0.1:12220` takes Bolt, SOFA's own port for a local sidecar, `127.0.0.1:20882` takes Dubbo. They route by
tables that control publishes; listeners of declared protocols come from control too, with the declarations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from eventmesh.base import log
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.route import RouteTable
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tracing import Traffic
from eventmesh.sidecar.environment import Pod
from eventmesh.transport.address import InetAddress, parse_address

HTTP_PORT: Final = 15001
BOLT_PORT: Final = 12220
DUBBO_PORT: Final = 20882
"""Beside Dubbo's 20880, at which the function itself may serve (MOSN takes the same one)."""

TABLES: Final = ("local", "bolt", "dubbo")
"""Route tables that control publishes for every sidecar."""

_log = log.get("sidecar.outbound")


def outbound(pod: Pod) -> Snapshot:
    """Return the listeners; they are held until control has sent their tables, so that what a function sends in its
    first moment waits for the routes (`sidecar.app`)."""

    def at(name: str, port: int, table: str, protocol: WireProtocol, via: str = "") -> Listener:
        address = str(InetAddress(pod.outbound_host, port))
        return Listener(name, address, table, protocol=protocol, traffic=Traffic.OUTBOUND, via=via)

    return Snapshot(
        version="",
        listeners=(
            at("outbound", HTTP_PORT, "local", WireProtocol.AUTO, via="sidecar"),
            at("outbound-bolt", BOLT_PORT, "bolt", WireProtocol.BOLT),
            at("outbound-dubbo", DUBBO_PORT, "dubbo", WireProtocol.DUBBO),
        ),
        route_tables=tuple(map(RouteTable, TABLES)),
    )


def placed(listener: Listener, pod: Pod) -> Listener | None:
    """Return a listener that control sends as it is for this pod; None when its port is the function's own.

    Control writes the loopback address for where the function dials.
    """
    if listener.traffic is not Traffic.OUTBOUND:
        return listener
    address = parse_address(listener.address, f"listener {listener.name}: address")
    if not isinstance(address, InetAddress):
        return listener
    if address.port == pod.user_port:
        _log.warning("the function listens on this port itself", listener=listener.name, port=address.port)
        return None
    return replace(listener, address=str(InetAddress(pod.outbound_host, address.port)))
