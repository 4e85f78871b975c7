"""What a delivery that nobody answered counts as: why the other side was not believed, where that is the reason."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from eventmesh.activator.broker.delivery import Answer

if TYPE_CHECKING:
    from eventmesh.activator.broker.triggers import Peer
    from eventmesh.core._core import Response

_TLS: Final = "TLS: "
"""What the engine writes before the reason of a handshake that failed."""

UNKNOWN_AUTHORITY: Final = "certificate_unknown_authority"
OTHER: Final = "tls_failed"

_CODES: Final = (
    ("notvalidyet", "certificate_not_yet_valid"),
    ("not valid yet", "certificate_not_yet_valid"),
    ("expired", "certificate_expired"),
    ("unknownissuer", UNKNOWN_AUTHORITY),
    ("notvalidforname", "certificate_wrong_name"),
    ("not valid for name", "certificate_wrong_name"),
)
"""Words of rustls (`CertificateError`), in lower case -> what a timeline says."""

MAX_NAMED: Final = 3
"""Authorities that are named: an address has one, or two while they change."""

MAX_NAME: Final = 96
"""Characters of one of them."""


def unreached(response: Response, peer: Peer) -> Answer:
    """Return the `Answer` for a response with an `error`: its code, or that of a certificate that was not believed."""
    _, told, why = response.body.decode("utf-8", "replace").rpartition(_TLS)
    if not told:
        return Answer(0, response.error)
    code = next((code for words, code in _CODES if words in why.lower()), f"{OTHER}: {why[:MAX_NAME]}")
    if code == UNKNOWN_AUTHORITY:
        code = f"{code}: signed by none of {_asked(peer)}"
    return Answer(0, code)


def _asked(peer: Peer) -> str:
    """Return the names of the authorities that were asked for."""
    others = "the trust bundles and whom this machine trusts"
    if not peer.authorities:
        return others
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=peer.authorities)
    except (ssl.SSLError, ValueError):
        return others
    names = [_name(authority) for authority in context.get_ca_certs()]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{'; '.join(names[:MAX_NAMED]) or 'CACerts (no authority among them)'}{more}, {others}"


def _name(authority: Mapping[str, object]) -> str:
    """Return the subject of a certificate as OpenSSL's `-subject` shows it: `CN=authority`."""
    subject = authority.get("subject")
    pairs = [pair for part in subject for pair in part] if isinstance(subject, tuple) else []
    return ", ".join(f"{_SHORT.get(name, name)}={value}" for name, value in pairs)[:MAX_NAME] or "an unnamed authority"


_SHORT: Final = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C"}
