"""How events reach their subscribers: inside the mesh by its routes, outside by clusters made for their addresses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.route import Forward, Route, RouteMatch, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from eventmesh.transport.exchange import Caller

if TYPE_CHECKING:
    from eventmesh.core._core import Response
    from eventmesh.core.actions import Headers

LOCAL = "local"
"""The route table that control publishes for hosts of the mesh."""

_MESH_SUFFIXES = (".svc", ".svc.cluster.local")


def is_mesh_host(host: str) -> bool:
    """Return whether `host` (without port) names a service of the mesh."""
    return host.endswith(_MESH_SUFFIXES)


def outside(uris: Iterable[str]) -> Snapshot:
    """Return a route table and a cluster for each address among `uris` that is not of the mesh."""
    tables, clusters = [], []
    for name, address in sorted({(_table(uri), _address(uri)) for uri in uris if _table(uri) != LOCAL}):
        forward = Forward((WeightedCluster(name),), timeout_s=0.0)
        tables.append(RouteTable(name, (VirtualHost(name, ("*",), (Route(RouteMatch("/"), forward),)),)))
        clusters.append(Cluster(name, (Endpoint(address),)))
    return Snapshot(version="", route_tables=tuple(tables), clusters=tuple(clusters))


def _table(uri: str) -> str:
    # A table of its own for each outside address: routes compare hosts without their ports.
    return LOCAL if is_mesh_host(urlsplit(uri).hostname or "") else f"outside/{_address(uri)}"


def _address(uri: str) -> str:
    parts = urlsplit(uri)
    host = parts.hostname or ""
    return f"[{host}]:{parts.port or 80}" if ":" in host else f"{host}:{parts.port or 80}"


class MeshSubscribers:
    """Posts events through the engine."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def post(self, uri: str, headers: Headers, body: bytes, *, timeout_s: float, hold: bool) -> Response:
        """Return how the request to `uri` ended."""
        parts = urlsplit(uri)
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        return await self._caller.send(
            _table(uri), "POST", parts.netloc, target, headers, body, timeout_s=timeout_s, hold=hold
        )
