"""The certificate authority: roots of our own in a directory, or an intermediate that was given.

Workload certificates are X.509-SVIDs (SPIFFE X509-SVID §2-4): one URI name, no subject, no authority of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.base.secret_file import write_secret
from eventmesh.base.x509 import CLOCK_SKEW, PrivateKey, builder, key_pem, key_usage, make_authority
from eventmesh.xds.identity import rotation
from eventmesh.xds.identity.rotation import RootPeriod
from eventmesh.xds.identity.spiffe import SpiffeId

_ROOT_FILE: Final = re.compile(r"root-(\d+)\.crt")


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key, both PEM."""

    spiffe_id: SpiffeId
    chain: str
    key: str = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    serial: int


class Authority(Protocol):
    """Whoever certifies identities, and says whom to trust for that."""

    lifetime: timedelta
    """Of what it issues."""

    def issue(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> Issued:
        """Return a certificate for `spiffe_id` with a new key; `host_names` are for clients that know no SPIFFE."""
        ...

    def bundle(self) -> str:
        """Return the roots to trust now (PEM)."""
        ...

    def turn(self) -> bool:
        """Do what is due to the roots, and return whether who signs or who is trusted differs by it."""
        ...

    def replace_root(self) -> None:
        """Begin to move to a new root; raises UnavailableError when that is not ours to do."""
        ...

    def next_turn(self) -> datetime | None:
        """Return when `turn` is to be called again; None: never."""
        ...


@dataclass(frozen=True, slots=True)
class _Signer:
    key: PrivateKey
    certificate: x509.Certificate
    chain: str = ""
    """What a peer needs between a certificate and its root (PEM)."""

    @property
    def period(self) -> RootPeriod:
        created = self.certificate.not_valid_before_utc + CLOCK_SKEW
        return RootPeriod(created, self.certificate.not_valid_after_utc)


class OwnAuthority:
    """Roots in a directory, made there on first use and replaced with overlap before they expire."""

    def __init__(self, directory: Path, clock: Clock, lifetime: timedelta = rotation.LIFETIME) -> None:
        """Read the roots; raises UnavailableError for files that cannot be read as such."""
        self.lifetime = lifetime
        self._directory = directory
        self._clock = clock
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        numbers = sorted(int(found[1]) for file in directory.iterdir() if (found := _ROOT_FILE.fullmatch(file.name)))
        self._roots = {number: _read_root(directory, number) for number in numbers}
        if not self._roots:
            self._add_root()
        self._state = self._judge()

    def issue(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> Issued:
        """Return a certificate signed by the root that everybody knows."""
        return _issue(self._ordered()[self._state[0]], spiffe_id, host_names, self._clock.now(), self.lifetime)

    def bundle(self) -> str:
        """Return the roots to trust now."""
        roots = self._ordered()
        return "".join(_pem(roots[at].certificate) for at in self._state[1])

    def turn(self) -> bool:
        """Make the next root when it is due, and forget those that nobody trusts any more."""
        if rotation.is_due(self._periods(), self._clock.now()):
            self._add_root()
        before, after = self._state, self._judge()
        numbers = sorted(self._roots)
        kept = {numbers[at] for at in after[1]}
        for number in [number for number in self._roots if number not in kept]:
            del self._roots[number]
            for file in _root_files(self._directory, number):
                file.unlink(missing_ok=True)
        self._state = self._judge()
        return after != before

    def replace_root(self) -> None:
        """Begin to move to a new root, as if the present one were about to expire: trusted now, signing later."""
        self._add_root()
        self._state = self._judge()

    def next_turn(self) -> datetime:
        """Return when the roots change next."""
        return rotation.next_change(self._periods(), self._clock.now(), self.lifetime)

    def _judge(self) -> tuple[int, tuple[int, ...]]:
        periods, now = self._periods(), self._clock.now()
        return (
            rotation.signing(periods, now, self.lifetime),
            tuple(rotation.trusted(periods, now, self.lifetime)),
        )

    def _ordered(self) -> list[_Signer]:
        return [self._roots[number] for number in sorted(self._roots)]

    def _periods(self) -> list[RootPeriod]:
        return [root.period for root in self._ordered()]

    def _add_root(self) -> None:
        number = max(self._roots, default=0) + 1
        root = _make_root(number, self._clock.now())
        certificate_file, key_file = _root_files(self._directory, number)
        # The key first: a certificate without its key would be a root that nobody can sign by.
        write_secret(key_file, key_pem(root.key))
        write_secret(certificate_file, _pem(root.certificate).encode())
        self._roots[number] = root


class GivenAuthority:
    """An intermediate (or a root) that somebody else keeps: it signs, and is never replaced by us.

    `certificates` holds its own certificate first, then those up to the root; each self-signed one in it is trusted,
    so that whoever changes roots puts both there for a while.
    """

    def __init__(self, certificates: Path, key: Path, clock: Clock, lifetime: timedelta = rotation.LIFETIME) -> None:
        """Raises ConfigError naming the file and what is wrong with it."""
        self.lifetime = lifetime
        self._clock = clock
        chain = _read_chain(certificates)
        signer = _read_key(key)
        if signer.public_key() != chain[0].public_key():
            raise ConfigError(str(key), f"is not the key of the first certificate in {certificates}")
        _require_authority(chain[0], certificates)
        roots = [one for one in chain if _is_self_signed(one)]
        if not roots:
            raise ConfigError(str(certificates), "holds no self-signed certificate; append the root of its chain")
        between = "".join(_pem(one) for one in chain if one not in roots)
        self._signer = _Signer(signer, chain[0], between)
        self._bundle = "".join(map(_pem, roots))

    def issue(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> Issued:
        """Return a certificate; raises UnavailableError when the authority itself expires too soon."""
        now = self._clock.now()
        if self._signer.certificate.not_valid_after_utc < now + self.lifetime:
            until = self._signer.certificate.not_valid_after_utc.isoformat()
            raise UnavailableError(f"the given certificate authority is valid until {until} only; give another one")
        return _issue(self._signer, spiffe_id, host_names, now, self.lifetime)

    def bundle(self) -> str:
        """Return the roots that were given."""
        return self._bundle

    def turn(self) -> bool:
        """Do nothing: whoever gave the authority replaces it."""
        return False

    def replace_root(self) -> None:
        """Raise UnavailableError."""
        raise UnavailableError(
            "the certificate authority was given: append the next root to the file of --ca-cert and start again; "
            "put its certificate first, and its key into --ca-key, once everybody trusts it"
        )

    def next_turn(self) -> None:
        """Return None."""
        return


def _issue(
    signer: _Signer, spiffe_id: SpiffeId, host_names: tuple[str, ...], now: datetime, lifetime: timedelta
) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.UniformResourceIdentifier(str(spiffe_id)), *map(x509.DNSName, host_names)]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        builder(x509.Name([]), signer.certificate.subject, key.public_key(), now, lifetime)
        # Critical, as RFC 5280 §4.1.2.6 demands where there is no subject.
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.certificate.public_key()),  # type: ignore[arg-type]  # an authority's key signs
            critical=False,
        )
        .sign(signer.key, hashes.SHA256())
    )
    return Issued(
        spiffe_id,
        _pem(certificate) + signer.chain,
        key_pem(key).decode(),
        now,
        now + lifetime,
        certificate.serial_number,
    )


def _make_root(number: int, now: datetime) -> _Signer:
    key, certificate = make_authority(f"eventmesh root {number}", now, rotation.ROOT_LIFETIME)
    return _Signer(key, certificate)


def _root_files(directory: Path, number: int) -> tuple[Path, Path]:
    return directory / f"root-{number}.crt", directory / f"root-{number}.key"


def _read_root(directory: Path, number: int) -> _Signer:
    certificate_file, key_file = _root_files(directory, number)
    try:
        return _Signer(_read_key(key_file), _read_chain(certificate_file)[0])
    except ConfigError as error:
        raise UnavailableError(
            f"{error}; restore it, or remove {directory} to begin with a new root (running workloads must then restart)"
        ) from error


def _read_chain(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        raise ConfigError(str(file), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(str(file), "holds no certificate; PEM is expected") from error


def _read_key(file: Path) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(str(file), f"cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(str(file), "is no unencrypted PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ConfigError(str(file), "is neither an RSA nor an elliptic-curve key")
    return key


def _require_authority(certificate: x509.Certificate, file: Path) -> None:
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    if not is_authority:
        raise ConfigError(str(file), "its first certificate may not sign others (basicConstraints CA)")


def _is_self_signed(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
