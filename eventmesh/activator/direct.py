"""A route table that leads to one address and nowhere else: how this process reaches what is not of the mesh."""

from __future__ import annotations

from urllib.parse import urlsplit

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tls import ClientTls


def address_of(url: str) -> str:
    """Return the `host:port` that `url` names; when it names none, the port is 80, under TLS 443."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def route_to(
    address: str,
    name: str,
    *,
    timeout_s: float = 0.0,
    tls: ClientTls | None = None,
    protocol: WireProtocol = WireProtocol.HTTP1,
) -> Snapshot:
    """Return the route table and the cluster, both called `name`, for everything that is sent to `address`."""
    forward = Forward((WeightedCluster(name),), timeout_s=timeout_s)
    table = RouteTable(name, (VirtualHost(name, ("*",), (Route(RouteMatch("/"), forward),)),))
    return Snapshot(version="", route_tables=(table,), clusters=(Cluster(name, (Endpoint(address),), protocol, tls),))
