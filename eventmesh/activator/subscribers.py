"""How events reach their subscribers: inside the mesh by its routes, outside by clusters made for their addresses."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eventmesh.activator.direct import address_of, route_to
from eventmesh.dataplane.overlay import overlay
from eventmesh.kube.knative import CLUSTER_DOMAIN
from eventmesh.model.snapshot import Snapshot
from eventmesh.transport.exchange import Caller

if TYPE_CHECKING:
    from eventmesh.core._core import Response
    from eventmesh.core.actions import Headers

LOCAL = "local"
"""The route table that control publishes for hosts of the mesh."""

_MESH_SUFFIXES = (".svc", f".svc.{CLUSTER_DOMAIN}")


def is_mesh_host(host: str) -> bool:
    """Return whether `host` (without port) names a service of the mesh."""
    return host.endswith(_MESH_SUFFIXES)


def outside(uris: Iterable[str]) -> Snapshot:
    """Return a route table and a cluster for each address among `uris` that is not of the mesh."""
    addresses = sorted({address_of(uri) for uri in uris if _table(uri) != LOCAL})
    return reduce(overlay, (route_to(address, _outside(address)) for address in addresses), Snapshot(version=""))


def _table(uri: str) -> str:
    return LOCAL if is_mesh_host(urlsplit(uri).hostname or "") else _outside(address_of(uri))


def _outside(address: str) -> str:
    # A table of its own for each outside address: routes compare hosts without their ports.
    return f"outside/{address}"


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
