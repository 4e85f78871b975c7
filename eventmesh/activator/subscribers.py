"""How events reach their subscribers: inside the mesh by its routes, outside by clusters made for their addresses."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable
from functools import lru_cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from eventmesh.activator.broker.triggers import Peer
from eventmesh.activator.direct import address_of, route_to
from eventmesh.base import log
from eventmesh.base.errors import UnavailableError
from eventmesh.core import Engine
from eventmesh.dataplane.overlay import overlay
from eventmesh.kube.knative import is_mesh_host
from eventmesh.kube.subscriber_addresses import can_be_certified
from eventmesh.model.listener import WireProtocol
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tls import ClientTls, MatchKind, NameKind, NameMatch
from eventmesh.transport.exchange import Caller

if TYPE_CHECKING:
    from eventmesh.core._core import Response
    from eventmesh.core.actions import Headers

LOCAL: Final = "local"
"""The route table that control publishes for hosts of the mesh."""

_BY_INTERFACE: Final = {WireProtocol.BOLT: "bolt", WireProtocol.DUBBO: "dubbo"}

TABLES: Final = (LOCAL, *_BY_INTERFACE.values())
"""All tables of the mesh that events go by; the last two lead by interface."""

_OUTSIDE: Final = "outside/"

_log = log.get("activator.subscribers")


def outside(addresses: Iterable[tuple[str, Peer]]) -> Snapshot:
    """Return a route table and a cluster for each of `addresses` that is not of the mesh.

    One that cannot be spoken to under TLS, for want of authorities, is logged and left out: nobody else misses it.
    """
    wanted = {_table(uri, peer): (uri, peer) for uri, peer in addresses}
    for table in TABLES:
        wanted.pop(table, None)
    made = (_made(table, *wanted[table]) for table in sorted(wanted))
    return reduce(overlay, (one for one in made if one is not None), Snapshot(version=""))


def _made(table: str, uri: str, peer: Peer) -> Snapshot | None:
    try:
        made = route_to(address_of(uri), table, tls=_tls(uri, peer), protocol=peer.speaks)
        if made.clusters[0].tls is not None:
            # Authorities that the engine does not take would make it refuse the subscribers of everybody.
            Engine().apply(made.to_core(), 0.0)
    except (UnavailableError, ValueError) as error:
        _log.error("subscriber cannot be reached", subscriber=table, reason=error)
        return None
    return made


def _table(uri: str, peer: Peer) -> str:
    parts = urlsplit(uri)
    if is_mesh_host(parts.hostname or ""):
        return _BY_INTERFACE.get(peer.speaks, LOCAL)
    # A table of its own for each outside address: routes compare hosts without their ports.
    where = _OUTSIDE if peer.speaks is WireProtocol.HTTP1 else f"{_OUTSIDE}{peer.speaks.value}/"
    if parts.scheme != "https":
        return f"{where}{address_of(uri)}"
    digest = hashlib.sha256(peer.authorities.encode()).hexdigest()[:8]
    return f"{where}https/{address_of(uri)}/{digest}"


def _tls(uri: str, peer: Peer) -> ClientTls | None:
    parts = urlsplit(uri)
    if parts.scheme != "https":
        return None
    host = parts.hostname or ""
    # A number cannot be compared with the names in a certificate: then the authorities alone vouch for it.
    named = can_be_certified(host)
    names = (NameMatch(NameKind.DNS, MatchKind.EXACT, host),) if named else ()
    alpn = ("h2",) if peer.speaks is WireProtocol.HTTP2 else ()
    return ClientTls(sni=host if named else "", ca=peer.authorities or _trusted(), names=names, alpn=alpn)


@lru_cache(maxsize=1)
def _trusted() -> str:
    """Return the authorities that this machine trusts."""
    file = ssl.get_default_verify_paths().cafile
    if not file:
        raise UnavailableError("this machine has no bundle of trusted authorities: say CACerts beside https addresses")
    return Path(file).read_text(encoding="utf-8")


class MeshSubscribers:
    """Posts events through the engine."""

    def __init__(self, caller: Caller, max_event_bytes: int) -> None:
        """`max_event_bytes` is how long the body of an answer may be: it may be an event."""
        self._caller = caller
        self._max_event_bytes = max_event_bytes

    async def post(
        self, uri: str, headers: Headers, body: bytes, *, timeout_s: float, hold: bool, peer: Peer
    ) -> Response:
        """Return how the request to `uri` ended; an answer that redirects is one like any other, and not followed."""
        parts = urlsplit(uri)
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        return await self._caller.send(
            _table(uri, peer),
            "POST",
            parts.netloc,
            target,
            headers,
            body,
            timeout_s=timeout_s,
            hold=hold,
            max_response_bytes=self._max_event_bytes,
        )

    async def call(self, uri: str, frame: bytes, *, timeout_s: float, hold: bool, peer: Peer) -> Response:
        """Return how the call in `frame` ended: in the mesh it goes where its interface is offered, else to `uri`."""
        return await self._caller.call(_table(uri, peer), frame, timeout_s=timeout_s, hold=hold)
