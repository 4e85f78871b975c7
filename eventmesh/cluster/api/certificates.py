"""The API's own certificate authority, its server certificate, and how its administrator proves itself."""

from __future__ import annotations

import ipaddress
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import field
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.base.secret_file import write_secret
from eventmesh.base.x509 import builder, common_name, key_pem, key_usage, make_authority
from eventmesh.cluster.api.identity import ADMIN_GROUPS, ADMIN_USER

CA_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
TOKEN_BYTES = 32
NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
ADDRESSES = ("127.0.0.1", "::1")


@frozen
class ClientCertificate:
    """A certificate by which a client proves who it is, and its key, as PEM."""

    certificate_pem: bytes
    key_pem: bytes


@frozen
class Credentials:
    """What a server needs to prove itself, and a client to be let in."""

    ca_pem: bytes
    token: str
    certificate_file: Path
    key_file: Path
    client: ClientCertificate = field(compare=False)
    """The administrator's, made anew each time."""

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS side of the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate_file, self.key_file)
        # Asked for and not demanded: others come with a token, or ask for what is open to all.
        context.load_verify_locations(cadata=self.ca_pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
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
    # Made anew at each start, as the kubeconfig is: the key is nowhere but there.
    client = issue_client(ca_key, ca, clock, ADMIN_USER, ADMIN_GROUPS[:1])
    return Credentials(ca_pem, _token(directory), certificate_file, key_file, client)


def issue_client(
    ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, clock: Clock, user: str, groups: Sequence[str]
) -> ClientCertificate:
    """Return a certificate that says whose it is as Kubernetes reads it: the user in CN, the groups in O."""
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    certificate = (
        builder(subject, ca.subject, key.public_key(), clock.now(), SERVER_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return ClientCertificate(certificate.public_bytes(serialization.Encoding.PEM), key_pem(key))


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
