"""A route table that leads to one address and nowhere else: how this process reaches what is not of the mesh."""

from __future__ import annotations

from urllib.parse import urlsplit

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.route import Forward, Route, RouteMatch, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot


def address_of(url: str) -> str:
    """Return the `host:port` that `url` names; the port is 80 when it names none."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"[{host}]:{parts.port or 80}" if ":" in host else f"{host}:{parts.port or 80}"


def route_to(address: str, name: str, *, timeout_s: float = 0.0) -> Snapshot:
    """Return the route table and the cluster, both called `name`, for everything that is sent to `address`."""
    forward = Forward((WeightedCluster(name),), timeout_s=timeout_s)
    table = RouteTable(name, (VirtualHost(name, ("*",), (Route(RouteMatch("/"), forward),)),))
    return Snapshot(version="", route_tables=(table,), clusters=(Cluster(name, (Endpoint(address),)),))
