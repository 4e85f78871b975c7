"""Where traffic comes in, and how its protocol is told."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from eventmesh.base.frozen import frozen
from eventmesh.model.tracing import Traffic

if TYPE_CHECKING:
    from eventmesh.model.policy import Filters
    from eventmesh.model.tls import ServerTls
    from eventmesh.model.tracing import Tracing


class WireProtocol(Enum):
    """What is spoken on a connection."""

    AUTO = "auto"
    """Listeners only: told from the first bytes."""
    HTTP1 = "http1"
    HTTP2 = "http2"
    """Clear-text HTTP/2 by prior knowledge; carries gRPC."""
    BOLT = "bolt"
    """SOFARPC Bolt, versions 1 and 2."""
    DUBBO = "dubbo"
    """Dubbo 2."""
    FRAMED = "framed"
    """A private protocol that its owner declares (`Declaration`)."""
    DOWNSTREAM = "downstream"
    """Clusters only: whatever the request came in with."""


@frozen
class Declaration:
    """A private protocol: what its frames are made of (`docs/protocols/framed.md`)."""

    name: str
    text: str
    """The declaration as JSON; `core.Protocol` checks it."""


@frozen
class Listener:
    """One address that accepts connections and the route table that decides what happens to requests."""

    name: str
    address: str
    """`127.0.0.1:8080`, `[::1]:8080` or `unix:/run/mesh.sock`."""
    route_table: str
    protocol: WireProtocol = WireProtocol.AUTO
    declarations: tuple[Declaration, ...] = ()
    """With protocol FRAMED: the one that is spoken. With AUTO: those that are told by their magic beside what is told
    anyway."""
    via: str = ""
    """Name of this hop, appended to the Via header of requests and responses (RFC 9110 7.6.3); empty: no header."""
    use_remote_address: bool = False
    """Callers are clients and no proxies (Envoy's use_remote_address): their address is appended to X-Forwarded-For,
    and X-Forwarded-Proto says how they came, whatever they claim."""
    forwarded_header: bool = False
    """Requests without Forwarded (RFC 7239) get one made of X-Forwarded-For and -Proto (queue-proxy's shim)."""
    access_log: str = ""
    """Path the access log goes to (`/dev/stdout`); empty: none."""
    head_timeout_s: float = 60.0
    """Longest time from the first byte of a request head to its last."""
    idle_timeout_s: float = 3600.0
    """A connection without a request in flight is closed after this; 0 = never."""
    keepalive_interval_s: float = 0.0
    """A connection of HTTP/2 that carries requests and is silent for so long is sent a PING; 0 = never."""
    keepalive_timeout_s: float = 0.0
    """When nothing comes within this time after a PING, the connection is given up, and its requests with it."""
    max_head_bytes: int = 61_440
    """Longest request head, request line included (Envoy's max_request_headers_kb default, 60 KiB)."""
    max_head_count: int = 100
    """Most header fields in one head (Envoy's max_headers_count default)."""
    filters: Filters | None = None
    tls: ServerTls | None = None
    """None: clear text."""
    traffic: Traffic = Traffic.NONE
    tracing: Tracing | None = None
    """None: as the snapshot says, if its traffic goes anywhere."""
