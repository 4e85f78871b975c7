"""How events reach their subscribers: inside the mesh by its routes, outside by clusters made for their addresses."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from functools import lru_cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from eventmesh.activator.broker.triggers import Peer
from eventmesh.activator.direct import address_of, route_to
from eventmesh.base import log
from eventmesh.base.errors import UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.core import Engine
from eventmesh.dataplane.overlay import overlay
from eventmesh.kube.knative import is_mesh_host
from eventmesh.kube.server_certificates import is_own_host
from eventmesh.kube.subscriber_addresses import are_certificates, can_be_certified
from eventmesh.model.cluster import Cluster, Endpoint
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

HTTPS_PORT: Final = 443

_OUTSIDE: Final = "outside/"

_log = log.get("activator.subscribers")


@frozen
class Surroundings:
    """What ways to addresses depend on beside the addresses themselves."""

    bundles: str = ""
    """Certificates that are believed beside an address's own authorities and the machine's (PEM)."""
    own: str = ""
    """`host:port` of this process's own https listener; empty: it has none."""
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    """What control has published, by name: where Services are that speak https themselves."""


def ways(addresses: Iterable[tuple[str, Peer]], around: Surroundings) -> Snapshot:
    """Return a route table and a cluster for each of `addresses` that the mesh's own tables do not lead to.

    One that cannot be spoken to under TLS, for want of authorities, is logged and left out: nobody else misses it.
    """
    wanted = {_table(uri, peer): (uri, peer) for uri, peer in addresses}
    for table in TABLES:
        wanted.pop(table, None)
    made = (_way(table, *wanted[table], around) for table in sorted(wanted))
    return reduce(overlay, (one for one in made if one is not None), Snapshot(version=""))


def leads_into_mesh(uri: str) -> bool:
    """Return whether an address is under https inside the mesh: where it leads, control says."""
    parts = urlsplit(uri)
    return parts.scheme == "https" and is_mesh_host(parts.hostname or "")


def _way(table: str, uri: str, peer: Peer, around: Surroundings) -> Snapshot | None:
    endpoints: tuple[Endpoint, ...] = ()
    if leads_into_mesh(uri):
        endpoints = _inside(uri, around)
        if not endpoints:
            # Nobody is there yet: attempts fail, and are made again.
            return None
    return _made(table, uri, peer, around.bundles if uri.startswith("https:") else "", endpoints)


def _inside(uri: str, around: Surroundings) -> tuple[Endpoint, ...]:
    """Return where a host of the mesh takes https: this very process for those of brokers and the like."""
    parts = urlsplit(uri)
    host = parts.hostname or ""
    if is_own_host(host):
        return (Endpoint(around.own),) if around.own else ()
    service, namespace = host.split(".")[:2]
    cluster = around.clusters.get(f"{namespace}/{service}:{parts.port or HTTPS_PORT}")
    return cluster.endpoints if cluster is not None else ()


@lru_cache(maxsize=256)
def _made(table: str, uri: str, peer: Peer, bundles: str, endpoints: tuple[Endpoint, ...]) -> Snapshot | None:
    try:
        made = route_to(address_of(uri), table, tls=_tls(uri, peer, bundles), protocol=peer.speaks)
        if endpoints:
            made = replace(made, clusters=(replace(made.clusters[0], endpoints=endpoints),))
        if made.clusters[0].tls is not None:
            # Authorities that the engine does not take would make it refuse the subscribers of everybody.
            Engine().apply(made.to_core(), 0.0)
    except (UnavailableError, ValueError) as error:
        _log.error("subscriber cannot be reached", subscriber=table, reason=error)
        return None
    return made


def _table(uri: str, peer: Peer) -> str:
    parts = urlsplit(uri)
    if is_mesh_host(parts.hostname or "") and parts.scheme != "https":
        return _BY_INTERFACE.get(peer.speaks, LOCAL)
    # A table of its own for each outside address: routes compare hosts without their ports.
    where = _OUTSIDE if peer.speaks is WireProtocol.HTTP1 else f"{_OUTSIDE}{peer.speaks.value}/"
    if parts.scheme != "https":
        return f"{where}{address_of(uri)}"
    digest = hashlib.sha256(peer.authorities.encode()).hexdigest()[:8]
    return f"{where}https/{address_of(uri)}/{digest}"


@lru_cache(maxsize=4096)
def _way_to(uri: str, peer: Peer) -> tuple[str, str, str]:
    """Return route table, authority and target of a request; asked for each event of the same few subscribers."""
    parts = urlsplit(uri)
    path = parts.path or "/"
    return _table(uri, peer), parts.netloc, f"{path}?{parts.query}" if parts.query else path


def _tls(uri: str, peer: Peer, bundles: str) -> ClientTls | None:
    parts = urlsplit(uri)
    if parts.scheme != "https":
        return None
    host = parts.hostname or ""
    # A number cannot be compared with the names in a certificate: then the authorities alone vouch for it.
    named = can_be_certified(host)
    names = (NameMatch(NameKind.DNS, MatchKind.EXACT, host),) if named else ()
    alpn = ("h2",) if peer.speaks is WireProtocol.HTTP2 else ()
    return ClientTls(sni=host if named else "", ca=_believed(peer, bundles, named=named), names=names, alpn=alpn)


def _believed(peer: Peer, bundles: str, *, named: bool) -> str:
    """Return whom a certificate may be signed by: those of the address, the bundles, and whom this machine trusts."""
    if peer.authorities and not are_certificates(peer.authorities):
        raise ValueError("CACerts holds no certificates in PEM")
    return _together(peer.authorities, bundles) if named else peer.authorities


@lru_cache(maxsize=64)
def _together(authorities: str, bundles: str) -> str:
    """Return both with whom this machine trusts: one string for all addresses alike, for it has 200 KiB."""
    try:
        trusted = _trusted()
    except UnavailableError:
        if not (authorities or bundles):
            raise
        trusted = ""
    return "\n".join(text for text in (authorities, bundles, trusted) if text)


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
        table, authority, target = _way_to(uri, peer)
        return await self._caller.send(
            table,
            "POST",
            authority,
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
