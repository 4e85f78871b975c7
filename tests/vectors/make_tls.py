"""Makes tests/vectors/tls: two authorities and what they sign, for tests alone; needs `cryptography`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DIRECTORY = Path(__file__).parent / "tls"
BEGIN, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 2, tzinfo=UTC)

CALLER = "spiffe://cluster.local/ns/default/sa/caller"
SERVER = "spiffe://cluster.local/ns/default/sa/server"

Signer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def main() -> None:
    """Write every file anew."""
    DIRECTORY.mkdir(exist_ok=True)
    authority, stranger = make("authority"), make("stranger")
    make("server", authority, dns=("example.com", "*.apps.example.com"), uri=SERVER)
    make("other", authority, dns=("other.example.com",))
    make("caller", authority, uri=CALLER)
    make("forged", stranger, dns=("example.com",), uri=CALLER)
    make("expired", authority, dns=("example.com",), end=LONG_AGO)


def make(
    name: str, signer: Signer | None = None, *, dns: tuple[str, ...] = (), uri: str = "", end: datetime = END
) -> Signer:
    """Write `name`.pem and `name`.key, signed by `signer`; an authority signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if signer is not None:
        names: list[x509.GeneralName] = [x509.DNSName(host) for host in dns]
        if uri:
            names.append(x509.UniformResourceIdentifier(uri))
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    certificate = builder.sign(signer[1] if signer else key, hashes.SHA256())
    (DIRECTORY / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (DIRECTORY / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, key


if __name__ == "__main__":
    main()
