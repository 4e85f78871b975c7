"""A signer of a cluster as others run them: it signs what is approved for its name, with the names asked for."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from eventmesh.base.clock import Clock
from eventmesh.base.x509 import builder, common_name, make_authority
from eventmesh.kube.api import Api, EventType, Object
from eventmesh.kube.resources import SIGNING_REQUEST
from eventmesh.xds.identity.signer import pem

NAME = "example.com/mesh"


class ClusterCa:
    """Signs until it is cancelled; a test may say what else it answers."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self.key, self.root = make_authority("the cluster's", clock.now(), timedelta(days=30))
        self.asked: list[Object] = []
        """What was approved for it, in order."""
        self.status: Callable[[Object], Object | None] = self.signed
        """What becomes of a request; None: nothing."""

    @property
    def roots(self) -> str:
        return pem(self.root)

    async def run(self) -> None:
        async for event in self._api.watch(SIGNING_REQUEST):
            if event.type in (EventType.ADDED, EventType.MODIFIED):
                await self._saw(event.object)

    async def _saw(self, request: Object) -> None:
        status = request.get("status") or {}
        kinds = [one["type"] for one in status.get("conditions") or ()]
        if request["spec"]["signerName"] != NAME or kinds != ["Approved"] or "certificate" in status:
            return
        self.asked.append(request)
        if (more := self.status(request)) is not None:
            conditions = [*status["conditions"], *more.get("conditions", ())]
            changed = {**request, "status": {**status, **more, "conditions": conditions}}
            await self._api.replace(SIGNING_REQUEST, changed, subresource="status")

    def signed(self, request: Object) -> Object:
        asked = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return self.certificate(asked, *names, lifetime=timedelta(seconds=request["spec"]["expirationSeconds"]))

    def certificate(
        self, asked: x509.CertificateSigningRequest, *names: x509.GeneralName, lifetime: timedelta
    ) -> Object:
        """Return the status with a certificate of the key of `asked`, for these names."""
        key = asked.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        made = (
            builder(common_name("somebody"), self.root.subject, key, self._clock.now(), lifetime)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return {"certificate": base64.b64encode(pem(made).encode()).decode()}
