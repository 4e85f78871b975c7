"""What somebody else has signed for us, checked before anybody is given it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from eventmesh.base.x509 import PublicKey
from eventmesh.xds.identity.signer import Certified, is_authority, pem, read_chain
from eventmesh.xds.identity.spiffe import SpiffeId

MAX_CHAIN_CHARS: Final = 65_536
"""Of an answer (PEM); checked before it is decoded. Ten certificates of the largest keys have a third of that."""

MAX_CERTIFICATES: Final = 10
"""In a chain: what TLS libraries follow at most by default, and every one of them is sent in each handshake."""

LEAST_LEFT: Final = timedelta(minutes=5)
"""Of the life of a certificate: what ends earlier could not be renewed in time by anybody."""

_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)


class WrongCertificateError(ValueError):
    """What came is not what was asked for; the message says in what."""


def checked(
    text: str,
    key: PublicKey,
    spiffe_id: SpiffeId,
    host_names: Sequence[str],
    roots: Sequence[x509.Certificate],
    now: datetime,
) -> Certified:
    """Return `text` (PEM) as the chain of `key`, for exactly these names and under one of `roots`.

    The roots themselves are left out of the chain. Raises WrongCertificateError.
    """
    if len(text) > MAX_CHAIN_CHARS:
        raise WrongCertificateError(f"has {len(text)} characters, more than {MAX_CHAIN_CHARS}")
    try:
        first, *others = read_chain(text.encode())
        if first.public_key() != key:
            raise WrongCertificateError("is of another key than the request")
        _require_names(first, spiffe_id, host_names)
        _require_use(first)
        _require_life(first, now)
        between = _way(first, others, roots, now)
    except WrongCertificateError:
        raise
    except _UNREADABLE as error:
        raise WrongCertificateError("is no certificate that can be read") from error
    chain = "".join(map(pem, (first, *between)))
    return Certified(chain, now, first.not_valid_after_utc, first.serial_number)


def _require_names(certificate: x509.Certificate, spiffe_id: SpiffeId, host_names: Sequence[str]) -> None:
    """Let a certificate have the names that were asked for and no other: whoever sees one believes them all."""
    try:
        found = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        raise WrongCertificateError(f"names nobody, not {spiffe_id}") from None
    wanted = [x509.UniformResourceIdentifier(str(spiffe_id)), *map(x509.DNSName, host_names)]
    for name in wanted:
        if name not in found:
            raise WrongCertificateError(f"does not name {name.value}")
    for name in found:
        if name not in wanted:
            raise WrongCertificateError(f"names {name.value} as well, which was not asked for")


def _require_use(certificate: x509.Certificate) -> None:
    if is_authority(certificate):
        raise WrongCertificateError("may sign others (basicConstraints CA)")
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return  # For everything.
    for usage, word in ((ExtendedKeyUsageOID.SERVER_AUTH, "server"), (ExtendedKeyUsageOID.CLIENT_AUTH, "client")):
        if usage not in usages:
            raise WrongCertificateError(f"is not for use as a {word} (extendedKeyUsage)")


def _require_life(certificate: x509.Certificate, now: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if begins > now:
        raise WrongCertificateError(f"is valid from {begins.isoformat()} on only")
    if ends < now + LEAST_LEFT:
        minutes = LEAST_LEFT.total_seconds() / 60
        raise WrongCertificateError(f"is valid until {ends.isoformat()}; {minutes:.0f} minutes are the least")


def _way(
    first: x509.Certificate, others: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime
) -> list[x509.Certificate]:
    """Return the certificates between `first` and one of the roots."""
    between: list[x509.Certificate] = []
    last = first
    while not any(_has_signed(root, last, now) for root in roots):
        following = [one for one in others if one not in between and _has_signed(one, last, now)]
        if not following or len(between) + 1 >= MAX_CERTIFICATES:
            raise WrongCertificateError(
                f"has been signed by {last.issuer.rfc4514_string() or 'nobody who has a name'}, which leads to none of "
                "the given roots"
            )
        last = following[0]
        between.append(last)
    return between


def _has_signed(authority: x509.Certificate, certificate: x509.Certificate, now: datetime) -> bool:
    if not is_authority(authority) or not authority.not_valid_before_utc <= now <= authority.not_valid_after_utc:
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
