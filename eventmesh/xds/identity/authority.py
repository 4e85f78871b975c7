"""The certificate authority: roots of our own, or an intermediate that was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.base.x509 import PublicKey, key_pem
from eventmesh.xds.identity import rotation
from eventmesh.xds.identity.requests import SigningRequest
from eventmesh.xds.identity.roots import RootStore, make_root
from eventmesh.xds.identity.rotation import RootPeriod
from eventmesh.xds.identity.signer import Certified, Signer, is_authority, is_self_signed, pem, read_chain, read_key
from eventmesh.xds.identity.spiffe import SpiffeId

T = TypeVar("T")


@frozen
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

    makes_keys: bool
    """Whether workloads may be issued keys; else each makes its own, and `issue` is for control alone."""

    async def sign(self, request: SigningRequest, spiffe_id: SpiffeId, lifetime: timedelta) -> Certified:
        """Return a certificate of somebody else's key, for no other name than `spiffe_id`.

        Raises UnavailableError, and RequestRefusedError for a request that this authority cannot sign.
        """
        ...

    async def prepare(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> None:
        """Do what takes time of the next `issue` of the same; raises UnavailableError."""
        ...

    def issue(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> Issued:
        """Return a certificate for `spiffe_id` with a new key; `host_names` are for clients that know no SPIFFE.

        Raises UnavailableError.
        """
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


class OwnAuthority:
    """Roots of our own, made on first use and replaced with overlap before they expire."""

    makes_keys = True

    def __init__(self, store: RootStore, clock: Clock, lifetime: timedelta = rotation.LIFETIME) -> None:
        """Read the roots; raises UnavailableError for what cannot be read as such."""
        self.lifetime = lifetime
        self._store = store
        self._clock = clock
        self._roots = dict(store.read())
        if not self._roots:
            self._add_root()
        self._state = self._judge()

    def certify(
        self, key: PublicKey, spiffe_id: SpiffeId, host_names: tuple[str, ...] = (), lifetime: timedelta | None = None
    ) -> Certified:
        """Return a certificate of somebody else's key, signed by the root that everybody knows."""
        signer = self._roots[self._state[0]]
        return signer.certify(key, spiffe_id, host_names, self._clock.now(), lifetime or self.lifetime)

    async def sign(self, request: SigningRequest, spiffe_id: SpiffeId, lifetime: timedelta) -> Certified:
        """Return a certificate of the key of `request`, signed likewise."""
        return self.certify(request.key, spiffe_id, lifetime=lifetime)

    async def prepare(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> None:
        """Do nothing: a signature takes no time."""

    def issue(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> Issued:
        """Return a certificate with a new key, signed likewise."""
        key = ec.generate_private_key(ec.SECP256R1())
        return issued(spiffe_id, key, self.certify(key.public_key(), spiffe_id, host_names))

    def bundle(self) -> str:
        """Return the roots to trust now."""
        return "".join(pem(self._roots[number].certificate) for number in self._state[1])

    def turn(self) -> bool:
        """Make the next root when it is due, and forget those that nobody trusts any more, if that is ours to do; else
        follow whoever does it."""
        # By what they are and not by their numbers alone: two replicas may have made one of the same number.
        before = self._state[0], self.bundle()
        self._roots = dict(self._store.read())
        if self._store.is_ours:
            if rotation.is_due(self._periods(), self._clock.now()):
                self._add_root()
            _, kept = self._judge()
            for number in self._roots.keys() - set(kept):
                del self._roots[number]
                self._store.remove(number)
        self._state = self._judge()
        return (self._state[0], self.bundle()) != before

    def replace_root(self) -> None:
        """Begin to move to a new root, as if the present one were about to expire: trusted now, signing later."""
        if not self._store.is_ours:
            raise UnavailableError("another replica of control replaces roots: ask the one that holds the lease")
        self._add_root()
        self._state = self._judge()

    def next_turn(self) -> datetime:
        """Return when the roots change next."""
        return rotation.next_change(self._periods(), self._clock.now(), self.lifetime)

    def _judge(self) -> tuple[int, tuple[int, ...]]:
        """Return the number of the root that signs, and of those that are trusted."""
        periods, now = self._periods(), self._clock.now()
        numbers = sorted(self._roots)
        return (
            numbers[rotation.signing(periods, now, self.lifetime)],
            tuple(numbers[at] for at in rotation.trusted(periods, now, self.lifetime)),
        )

    def _periods(self) -> list[RootPeriod]:
        return [self._roots[number].period for number in sorted(self._roots)]

    def _add_root(self) -> None:
        number = max(self._roots, default=0) + 1
        root = make_root(number, self._clock.now())
        self._store.add(number, root)
        self._roots[number] = root


class GivenAuthority:
    """An intermediate (or a root) that somebody else keeps: it signs, and is never replaced by us.

    `certificates` holds its own certificate first, then those up to the root; each self-signed one in it is trusted,
    so that whoever changes roots puts both there for a while.
    """

    makes_keys = True

    def __init__(self, certificates: Path, key: Path, clock: Clock, lifetime: timedelta = rotation.LIFETIME) -> None:
        """Raises ConfigError naming the file and what is wrong with it."""
        self.lifetime = lifetime
        self._clock = clock
        chain = read_certificates(certificates)
        signer = _parsed(key, read_key)
        if signer.public_key() != chain[0].public_key():
            raise ConfigError(str(key), f"is not the key of the first certificate in {certificates}")
        if not is_authority(chain[0]):
            raise ConfigError(str(certificates), "its first certificate may not sign others (basicConstraints CA)")
        roots = [one for one in chain if is_self_signed(one)]
        if not roots:
            raise ConfigError(str(certificates), "holds no self-signed certificate; append the root of its chain")
        between = "".join(pem(one) for one in chain if one not in roots)
        self._signer = Signer(signer, chain[0], between)
        self._bundle = "".join(map(pem, roots))

    def certify(
        self, key: PublicKey, spiffe_id: SpiffeId, host_names: tuple[str, ...] = (), lifetime: timedelta | None = None
    ) -> Certified:
        """Return a certificate of somebody else's key; raises UnavailableError when the authority itself expires too
        soon."""
        now = self._clock.now()
        if self._signer.certificate.not_valid_after_utc < now + self.lifetime:
            until = self._signer.certificate.not_valid_after_utc.isoformat()
            raise UnavailableError(f"the given certificate authority is valid until {until} only; give another one")
        return self._signer.certify(key, spiffe_id, host_names, now, lifetime or self.lifetime)

    async def sign(self, request: SigningRequest, spiffe_id: SpiffeId, lifetime: timedelta) -> Certified:
        """Return a certificate of the key of `request`; raises UnavailableError likewise."""
        return self.certify(request.key, spiffe_id, lifetime=lifetime)

    async def prepare(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> None:
        """Do nothing: a signature takes no time."""

    def issue(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> Issued:
        """Return a certificate with a new key; raises UnavailableError likewise."""
        key = ec.generate_private_key(ec.SECP256R1())
        return issued(spiffe_id, key, self.certify(key.public_key(), spiffe_id, host_names))

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


def issued(spiffe_id: SpiffeId, key: ec.EllipticCurvePrivateKey, certified: Certified) -> Issued:
    """Return a certificate together with the key that it is of."""
    return Issued(
        spiffe_id,
        certified.chain,
        key_pem(key).decode(),
        certified.issued_at,
        certified.expires_at,
        certified.serial,
    )


def read_certificates(file: Path) -> list[x509.Certificate]:
    """Return the certificates in a file; raises ConfigError naming it."""
    return _parsed(file, read_chain)


def _parsed(file: Path, read: Callable[[bytes], T]) -> T:
    try:
        return read(file.read_bytes())
    except OSError as error:
        raise ConfigError(str(file), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(str(file), str(error)) from error
