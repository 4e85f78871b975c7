"""The API's own certificate authority, its server certificate, and the token of its one user."""

from __future__ import annotations

import ipaddress
import secrets
import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from eventmesh.base.clock import Clock
from eventmesh.base.secret_file import write_secret
from eventmesh.base.x509 import builder, common_name, key_pem, make_authority

CA_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
TOKEN_BYTES = 32
NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
ADDRESSES = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a server needs to prove itself, and a client to be let in."""

    ca_pem: bytes
    token: str
    certificate_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS side of the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate_file, self.key_file)
        return context


def load_or_make(directory: Path, clock: Clock, host: str = "127.0.0.1") -> Credentials:
    """Return the credentials in `directory`, made on first use; the server's certificate is renewed in time.

    The authority and the token stay, so that a kubeconfig written once stays valid.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca_key, ca = _authority(directory, clock)
    certificate_file, key_file = directory / "server.crt", directory / "server.key"
    if not _is_current(certificate_file, ca, clock, host):
        key, certificate = _issue(ca_key, ca, clock, host)
        write_secret(key_file, key_pem(key))
        write_secret(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
    ca_pem = ca.public_bytes(serialization.Encoding.PEM)
    return Credentials(ca_pem, _token(directory), certificate_file, key_file)


def _authority(directory: Path, clock: Clock) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_file, certificate_file = directory / "ca.key", directory / "ca.crt"
    if key_file.exists() and certificate_file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key, x509.load_pem_x509_certificate(certificate_file.read_bytes())
    key, certificate = make_authority("eventmesh-ca", clock.now(), CA_LIFETIME)
    write_secret(key_file, key_pem(key))
    write_secret(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
    return key, certificate


def _issue(
    ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, clock: Clock, host: str
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        builder(common_name("kubernetes"), ca.subject, key.public_key(), clock.now(), SERVER_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return key, certificate


def _names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in NAMES]
    addresses = list(ADDRESSES)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if host not in NAMES:
            names.append(x509.DNSName(host))
    else:
        if host not in addresses:
            addresses.append(host)
    return names + [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]


def _is_current(file: Path, ca: x509.Certificate, clock: Clock, host: str) -> bool:
    if not file.exists():
        return False
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    has_names = set(_names(host)) <= set(names)
    return (
        has_names
        and certificate.issuer == ca.subject
        and (certificate.not_valid_after_utc - clock.now() > RENEW_BEFORE)
    )


def _token(directory: Path) -> str:
    file = directory / "token"
    if file.exists():
        known = file.read_text().strip()
        if known:
            return known
    token = secrets.token_urlsafe(TOKEN_BYTES)
    write_secret(file, token.encode())
    return token
