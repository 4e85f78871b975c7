"""Authorities in virtual time: what they issue, whom to trust, what is kept on disk, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.base.x509 import CLOCK_SKEW, key_pem
from eventmesh.xds.identity.authority import GivenAuthority, Issued, OwnAuthority
from eventmesh.xds.identity.roots import RootFiles, make_root
from eventmesh.xds.identity.rotation import LIFETIME
from eventmesh.xds.identity.spiffe import SpiffeId
from tests.manual_clock import ManualClock

ROBOT = SpiffeId("cluster.local", "shop", "robot")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR_S = 3600.0


def leaf(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificates(issued.chain.encode())[0]


def roots(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())


def signers(issued: Issued, bundle: str) -> list[int]:
    """Return which roots of the bundle have signed it."""
    found = []
    for at, root in enumerate(roots(bundle)):
        try:
            leaf(issued).verify_directly_issued_by(root)
        except Exception:
            continue
        found.append(at)
    return found


def test_a_certificate_is_an_svid(tmp_path: Path) -> None:
    issued = OwnAuthority(RootFiles(tmp_path), ManualClock()).issue(ROBOT)
    found = leaf(issued)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical and list(names.value) == [x509.UniformResourceIdentifier(str(ROBOT))]
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (issued.issued_at, issued.expires_at) == (NOW, NOW + LIFETIME)
    assert found.not_valid_before_utc == NOW - CLOCK_SKEW
    key = serialization.load_pem_private_key(issued.key.encode(), None)
    assert key.public_key() == found.public_key()


def test_a_key_is_in_no_text_of_its_certificate(tmp_path: Path) -> None:
    issued = OwnAuthority(RootFiles(tmp_path), ManualClock()).issue(ROBOT)
    assert "PRIVATE" not in repr(issued) and "PRIVATE" not in issued.chain


def test_roots_outlive_the_process_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    clock = ManualClock()
    first = OwnAuthority(RootFiles(tmp_path / "ca"), clock)
    again = OwnAuthority(RootFiles(tmp_path / "ca"), clock)
    assert again.bundle() == first.bundle()
    assert signers(again.issue(ROBOT), first.bundle()) == [0]
    assert [file.stat().st_mode & 0o077 for file in (tmp_path / "ca").iterdir()] == [0, 0]


async def test_a_root_is_replaced_with_overlap(tmp_path: Path) -> None:
    clock = ManualClock()
    authority = OwnAuthority(RootFiles(tmp_path), clock)
    old = authority.bundle()
    authority.replace_root()
    assert len(roots(authority.bundle())) == 2
    assert signers(authority.issue(ROBOT), authority.bundle()) == [0]
    await clock.advance(12 * HOUR_S)
    assert authority.turn() and authority.next_turn() == NOW + timedelta(hours=36)
    assert signers(authority.issue(ROBOT), authority.bundle()) == [1]
    assert OwnAuthority(RootFiles(tmp_path), clock).bundle() == authority.bundle()
    await clock.advance(24 * HOUR_S)
    assert authority.turn()
    assert len(roots(authority.bundle())) == 1 and authority.bundle() != old
    assert sorted(file.name for file in tmp_path.iterdir()) == ["root-2.crt", "root-2.key"]
    assert not authority.turn()


async def test_a_root_near_its_end_gets_a_successor_by_itself(tmp_path: Path) -> None:
    clock = ManualClock()
    authority = OwnAuthority(RootFiles(tmp_path), clock)
    due = authority.next_turn()
    assert due == NOW + timedelta(days=3650 - 365)
    await clock.advance((due - NOW).total_seconds())
    assert authority.turn() and len(roots(authority.bundle())) == 2


def test_a_damaged_root_is_named_with_what_to_do(tmp_path: Path) -> None:
    OwnAuthority(RootFiles(tmp_path), ManualClock())
    (tmp_path / "root-1.key").write_text("no key")
    with pytest.raises(UnavailableError, match=r"root-1\.key.*restore it"):
        OwnAuthority(RootFiles(tmp_path), ManualClock())
    (tmp_path / "root-1.key").write_bytes(key_pem(make_root(7, NOW).key))
    with pytest.raises(UnavailableError, match=r"root-1\.crt: is not the certificate of the key beside it; restore it"):
        OwnAuthority(RootFiles(tmp_path), ManualClock())


# -- given


class Given:
    """An authority that somebody else keeps, as files."""

    def __init__(self, directory: Path, *, ca: bool = True, life: timedelta = timedelta(days=90)) -> None:
        self.certificates, self.key = directory / "ca.crt", directory / "ca.key"
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = _certificate("root", "root", root_key.public_key(), root_key, True, life)
        self.intermediate = _certificate("own", "root", key.public_key(), root_key, ca, life)
        pem = serialization.Encoding.PEM
        self.certificates.write_bytes(self.intermediate.public_bytes(pem) + self.root.public_bytes(pem))
        self.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    ca: bool,
    life: timedelta,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - CLOCK_SKEW)
        .not_valid_after(NOW + life)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )


def test_a_given_intermediate_signs_and_its_root_is_trusted(tmp_path: Path) -> None:
    given = Given(tmp_path)
    authority = GivenAuthority(given.certificates, given.key, ManualClock())
    issued = authority.issue(ROBOT)
    chain = x509.load_pem_x509_certificates(issued.chain.encode())
    chain[0].verify_directly_issued_by(given.intermediate)
    assert chain[1:] == [given.intermediate] and roots(authority.bundle()) == [given.root]
    assert not authority.turn()


def test_what_is_wrong_with_given_files_is_named(tmp_path: Path) -> None:
    given, clock = Given(tmp_path), ManualClock()
    whole = given.certificates.read_bytes()

    def refused(reason: str) -> None:
        with pytest.raises(ConfigError, match=reason):
            GivenAuthority(given.certificates, given.key, clock)

    given.certificates.write_bytes(given.intermediate.public_bytes(serialization.Encoding.PEM))
    refused("no self-signed certificate")
    given.certificates.write_bytes(given.root.public_bytes(serialization.Encoding.PEM))
    refused("is not the key of the first certificate")
    given.certificates.write_text("nothing")
    refused("holds no certificate")
    given.certificates.unlink()
    refused("cannot be read")
    given.certificates.write_bytes(whole)
    given.key.write_text("nothing")
    refused("no unencrypted PEM private key")
    another = Given(tmp_path, ca=False)
    given.key.write_bytes(another.key.read_bytes())
    refused("may not sign others")


def test_a_given_authority_that_ends_too_soon_certifies_nobody(tmp_path: Path) -> None:
    given = Given(tmp_path, life=timedelta(hours=23))
    with pytest.raises(UnavailableError, match="valid until 2026-01-01T23"):
        GivenAuthority(given.certificates, given.key, ManualClock()).issue(ROBOT)
