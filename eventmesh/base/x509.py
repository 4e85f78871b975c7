"""What all certificates made here have in common: who signs, for how long, and keys as PEM (RFC 5280)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far a peer's clock may be behind ours: certificates are valid from that much before they are made."""

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def common_name(text: str) -> x509.Name:
    """Return the name of which `text` is all."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    """Return a certificate that is to be completed with extensions and signed; its serial number is random."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return what the key of an authority, or of somebody it has signed, is for."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def make_authority(
    name: str, now: datetime, lifetime: timedelta
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Return a new authority that signs itself, and nobody who signs others."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = common_name(name)
    certificate = (
        builder(own, own, key.public_key(), now, lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def key_pem(key: PrivateKey) -> bytes:
    """Return a private key as PEM (PKCS 8), in the clear: whoever stores it uses `base.secret_file`."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
