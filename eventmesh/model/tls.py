"""How TLS is spoken: what is shown, who is believed (Envoy's DownstreamTlsContext and UpstreamTlsContext)."""

from __future__ import annotations

from dataclasses import field
from enum import Enum

from eventmesh.base.frozen import frozen


class TlsVersion(Enum):
    """A version of the protocol."""

    TLS12 = "1.2"
    TLS13 = "1.3"


class NameKind(Enum):
    """Which of a certificate's subject alternative names are looked at."""

    DNS = "dns"
    URI = "uri"
    """SPIFFE identities are."""


class MatchKind(Enum):
    """How a name is compared."""

    EXACT = "exact"
    """Equal; a host name also when the certificate's wildcard covers it."""
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"


@frozen
class NameMatch:
    """One name that a peer's certificate may bear."""

    kind: NameKind
    how: MatchKind
    text: str


@frozen
class TlsCertificate:
    """A chain, the leaf first, and the leaf's private key; both PEM. The key is in no `repr`, and so in no log."""

    chain: str
    key: str = field(repr=False)


@frozen
class ServerTls:
    """How a listener speaks TLS."""

    certificates: tuple[TlsCertificate, ...]
    """The one that bears the name a client asks for is shown, else the first."""
    alpn: tuple[str, ...] = ()
    """Application protocols, the preferred first; empty: none is agreed on, and the first bytes tell."""
    client_ca: str = ""
    """Authorities that sign clients' certificates (PEM); empty: none is asked for."""
    require_client_certificate: bool = False
    client_names: tuple[NameMatch, ...] = ()
    """A client's certificate must bear one of these; empty: any."""
    permissive: bool = False
    """Clients that do not speak TLS are served as well: told by their first byte."""
    min_version: TlsVersion = TlsVersion.TLS12
    max_version: TlsVersion = TlsVersion.TLS13


@frozen
class ClientTls:
    """How a cluster's endpoints are spoken to under TLS."""

    sni: str = ""
    ca: str = ""
    """Authorities that sign the endpoints' certificates (PEM); empty: whatever is shown is believed, as in Envoy."""
    names: tuple[NameMatch, ...] = ()
    """An endpoint's certificate must bear one of these; empty: any."""
    certificate: TlsCertificate | None = None
    """What is shown when an endpoint asks."""
    alpn: tuple[str, ...] = ()
    min_version: TlsVersion = TlsVersion.TLS12
    max_version: TlsVersion = TlsVersion.TLS13
