"""An authority that signs nothing itself: a signer of the cluster does (`cluster_signer`), under roots that are given.

What a signer makes of a request is its own affair. So a request must ask for the one name that is proved and nothing
else, and what comes back is checked before anybody is given it.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.base.x509 import PublicKey
from eventmesh.xds.identity import rotation
from eventmesh.xds.identity.authority import Issued, issued, read_certificates
from eventmesh.xds.identity.cluster_signer import ClusterSigner
from eventmesh.xds.identity.new_key import signing_request
from eventmesh.xds.identity.requests import RequestRefusedError, SigningRequest
from eventmesh.xds.identity.signed_chain import WrongCertificateError, checked
from eventmesh.xds.identity.signer import Certified, is_authority, is_self_signed, pem
from eventmesh.xds.identity.spiffe import SpiffeId


class KubernetesAuthority:
    """Asks a signer for each certificate. Keys are made where they are used; here that of control alone."""

    makes_keys = False

    def __init__(
        self, signer: ClusterSigner, roots: Path, clock: Clock, lifetime: timedelta = rotation.LIFETIME
    ) -> None:
        """`roots` holds the signer's, several while one follows the other. Raises ConfigError naming what is wrong."""
        self.lifetime = lifetime
        self._signer = signer
        self._clock = clock
        self._roots = read_certificates(roots)
        for root in self._roots:
            if not (is_self_signed(root) and is_authority(root)):
                name = root.subject.rfc4514_string()
                raise ConfigError(
                    str(roots), f"holds {name}, which is no root: only self-signed authorities are trusted"
                )
        self._bundle = "".join(map(pem, self._roots))
        self._prepared: dict[SpiffeId, Issued] = {}

    async def sign(self, request: SigningRequest, spiffe_id: SpiffeId, lifetime: timedelta) -> Certified:
        """Return what the signer has made of a workload's request.

        Raises RequestRefusedError for one that asks for anything but `spiffe_id`: a signer goes by what it says.
        """
        if request.ids != (str(spiffe_id),):
            raise RequestRefusedError(
                f"the signing request must name {spiffe_id}, once: who signs goes by what it says"
            )
        if request.more:
            raise RequestRefusedError(
                f"the signing request asks for {request.more[0]} as well; it may ask for {spiffe_id} alone"
            )
        return await self._signed(request.pem, request.key, spiffe_id, (), lifetime)

    async def prepare(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> None:
        """Make a key, and have a certificate of it signed for the next `issue`."""
        key = ec.generate_private_key(ec.SECP256R1())
        request = signing_request(key, str(spiffe_id), host_names)
        certified = await self._signed(request, key.public_key(), spiffe_id, host_names, self.lifetime)
        self._prepared[spiffe_id] = issued(spiffe_id, key, certified)

    def issue(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> Issued:
        """Return the certificate that was prepared last; raises UnavailableError when there is none."""
        found = self._prepared.get(spiffe_id)
        if found is None or found.expires_at <= self._clock.now():
            raise UnavailableError(
                f"the signer {self._signer.name} has not been asked for a certificate of {spiffe_id}"
            )
        return found

    def bundle(self) -> str:
        """Return the roots that were given."""
        return self._bundle

    def turn(self) -> bool:
        """Do nothing: whoever runs the signer replaces its roots."""
        return False

    def replace_root(self) -> None:
        """Raise UnavailableError."""
        raise UnavailableError(
            f"the root is that of the signer {self._signer.name}: append its next root to the file of --ca-root and "
            "start again; let the signer use it once everybody trusts it"
        )

    def next_turn(self) -> None:
        """Return None."""
        return

    async def _signed(
        self, request: str, key: PublicKey, spiffe_id: SpiffeId, host_names: tuple[str, ...], lifetime: timedelta
    ) -> Certified:
        chain = await self._signer.sign(request, spiffe_id, lifetime)
        try:
            return checked(chain, key, spiffe_id, host_names, self._roots, self._clock.now())
        except WrongCertificateError as error:
            raise UnavailableError(f"the certificate of the signer {self._signer.name} {error}") from error
