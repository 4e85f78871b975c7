"""Whoever signs: a key with its certificate, what it makes of another's public key, and both as they are read from PEM.

Workload certificates are X.509-SVIDs (SPIFFE X509-SVID §2-4): one URI name, no subject, no authority of their own.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from eventmesh.base.frozen import frozen
from eventmesh.base.x509 import CLOCK_SKEW, PrivateKey, PublicKey, builder, key_usage
from eventmesh.xds.identity.rotation import RootPeriod
from eventmesh.xds.identity.spiffe import SpiffeId


@frozen
class Certified:
    """A certificate for somebody who keeps the key."""

    chain: str
    """PEM, the certificate first."""
    issued_at: datetime
    expires_at: datetime
    serial: int


@frozen
class Signer:
    """An authority's key and certificate."""

    key: PrivateKey
    certificate: x509.Certificate
    chain: str = ""
    """What a peer needs between a certificate and its root (PEM)."""

    @property
    def period(self) -> RootPeriod:
        """Return its life, without the moments before it that are granted to slow clocks."""
        created = self.certificate.not_valid_before_utc + CLOCK_SKEW
        return RootPeriod(created, self.certificate.not_valid_after_utc)

    def certify(
        self, key: PublicKey, spiffe_id: SpiffeId, host_names: tuple[str, ...], now: datetime, lifetime: timedelta
    ) -> Certified:
        """Return the certificate of `key` as that of `spiffe_id`."""
        names = [x509.UniformResourceIdentifier(str(spiffe_id)), *map(x509.DNSName, host_names)]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            builder(x509.Name([]), self.certificate.subject, key, now, lifetime)
            # Critical, as RFC 5280 §4.1.2.6 demands where there is no subject.
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.certificate.public_key()),  # type: ignore[arg-type]  # an authority's key signs
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        return Certified(pem(certificate) + self.chain, now, now + lifetime, certificate.serial_number)


def paired(key: PrivateKey, certificate: x509.Certificate) -> Signer:
    """Return both as one; raises ValueError when the key is that of another certificate."""
    if key.public_key() != certificate.public_key():
        raise ValueError("is not the certificate of the key beside it")
    return Signer(key, certificate)


def pem(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def read_chain(data: bytes) -> list[x509.Certificate]:
    """Return the certificates in `data` (PEM), at least one; raises ValueError saying what is wrong with it."""
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ValueError("holds no certificate; PEM is expected") from None


def read_key(data: bytes) -> PrivateKey:
    """Return the private key in `data` (PEM); raises ValueError saying what is wrong with it."""
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        raise ValueError("is no unencrypted PEM private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("is neither an RSA nor an elliptic-curve key")
    return key


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate may sign others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Tell whether it is a root."""
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
