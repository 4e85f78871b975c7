"""A signer of the cluster: what is asked of it by CertificateSigningRequests (`certificates.k8s.io/v1`).

Control is the registration authority, as Istio's is with an external signer: it has found out who asks, and so approves
each request that it makes itself. Whoever serves the signer's name (cert-manager, a company's own) signs what is
approved. Requests are deleted when they have been answered, or have not been in time.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from datetime import datetime, timedelta
from typing import Any, Final

from eventmesh.base import log
from eventmesh.base.clock import Clock, rfc3339
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup, first_of
from eventmesh.kube.api import Api, ApiError, EventType, Object
from eventmesh.kube.resources import SIGNING_REQUEST
from eventmesh.xds.identity.spiffe import SpiffeId

USAGES: Final = ("digital signature", "server auth", "client auth")
"""A workload is both ends of mTLS; its key signs handshakes and enciphers nothing."""

LABEL: Final = "app.kubernetes.io/managed-by"
OWNER: Final = "eventmesh-control"
"""Whose requests they are: what bears this is deleted by us."""

IDENTITY: Final = "eventmesh.io/identity"
"""Annotation for people and for policies of signers: the SPIFFE id."""

ANSWER_S: Final = 10.0
"""How long a signer may take. Who waits for it has a deadline of its own, and asks again."""

MAX_AT_ONCE: Final = 16
"""Requests under way, each with a watch of its own; more wait, within the same `ANSWER_S`."""

ABANDONED: Final = timedelta(minutes=5)
"""How old a request is that nobody waits for any more, whatever the clocks say: control that was killed left it."""

SWEEP_S: Final = 600.0
"""Between two looks for such. Kubernetes deletes them too, but those that were never answered after a day only."""

_PAUSE_S: Final = 0.5
"""Before a request is looked at again whose watch has ended: a server that goes down ends one after the other."""

_log = log.get("xds.identity")


class ClusterSigner:
    """Asks one signer, by its name."""

    def __init__(self, api: Api, clock: Clock, name: str) -> None:
        """`name` is that of `spec.signerName`."""
        self.name = name
        self._api = api
        self._clock = clock
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self._tasks = TaskGroup("xds.identity")

    def start(self) -> None:
        """Delete what control that was killed has left, now and from then on."""
        self._tasks.spawn("sweep", self._sweep_for_ever())

    async def stop(self) -> None:
        """Give up what is under way."""
        await self._tasks.stop()

    async def sign(self, request: str, spiffe_id: SpiffeId, lifetime: timedelta) -> str:
        """Return what the signer makes of `request` (PEM both), unchecked.

        Raises UnavailableError when it is denied, fails, or has not been answered within `ANSWER_S`.
        """
        answers: list[str] = []

        async def ask() -> None:
            async with self._places:
                answers.append(await self._ask(request, spiffe_id, lifetime))

        try:
            await first_of(ask(), self._clock.sleep(ANSWER_S))
        except ApiError as error:
            raise UnavailableError(f"the signer {self.name} cannot be asked: {error.message}") from error
        if not answers:
            raise UnavailableError(f"the signer {self.name} has not answered within {ANSWER_S:g} s")
        return answers[0]

    async def _ask(self, request: str, spiffe_id: SpiffeId, lifetime: timedelta) -> str:
        made = self._request(request, spiffe_id, lifetime)
        name = made["metadata"]["name"]
        try:
            await self._approve(await self._api.create(SIGNING_REQUEST, made))
            return await self._answer(name)
        finally:
            # Nobody waits for that; and whoever was cancelled could not.
            self._tasks.spawn("delete request", self._delete(name))

    def _request(self, request: str, spiffe_id: SpiffeId, lifetime: timedelta) -> Object:
        return {
            "apiVersion": SIGNING_REQUEST.api_version,
            "kind": SIGNING_REQUEST.kind,
            "metadata": {
                # Named here: what an API has made whose answer was lost can be deleted all the same.
                "name": f"eventmesh-{secrets.token_hex(10)}",
                "labels": {LABEL: OWNER},
                "annotations": {IDENTITY: str(spiffe_id)},
            },
            "spec": {
                "request": base64.b64encode(request.encode()).decode(),
                "signerName": self.name,
                "usages": list(USAGES),
                "expirationSeconds": int(lifetime.total_seconds()),
            },
        }

    async def _approve(self, request: Object) -> None:
        """Approve a request; who has changed it in between may have decided already."""
        while not self._decided(request):
            now = rfc3339(self._clock.now())
            approved = {
                "type": "Approved",
                "status": "True",
                "reason": "IdentityProved",
                "message": "control has checked who asks for this",
                "lastUpdateTime": now,
                "lastTransitionTime": now,
            }
            status = request.get("status") or {}
            changed = {**request, "status": {**status, "conditions": [*_conditions(request), approved]}}
            try:
                await self._api.replace(SIGNING_REQUEST, changed, subresource="approval")
            except ApiError as error:
                if not error.conflict:
                    raise
                request = await self._api.get(SIGNING_REQUEST, request["metadata"]["name"])
            else:
                return

    def _decided(self, request: Object) -> bool:
        """Tell whether it is approved; raises UnavailableError when there will be no certificate."""
        found = {condition.get("type"): condition for condition in _conditions(request)}
        for kind, what in (("Denied", "was denied"), ("Failed", "failed")):
            if kind in found:
                words = ": ".join(filter(None, (found[kind].get("reason"), found[kind].get("message"))))
                raise UnavailableError(f"the request to the signer {self.name} {what}: {words or 'no reason is given'}")
        return "Approved" in found

    async def _answer(self, name: str) -> str:
        while True:
            seen = await self._api.get(SIGNING_REQUEST, name)
            if answer := self._certificate(seen):
                return answer
            try:
                if answer := await self._watched(name, seen["metadata"]["resourceVersion"]):
                    return answer
            except ApiError as error:
                if not error.gone:
                    raise
            await self._clock.sleep(_PAUSE_S)

    async def _watched(self, name: str, version: str) -> str:
        """Return the certificate when it comes, nothing when the watch ends before."""
        watch = self._api.watch(SIGNING_REQUEST, resource_version=version, field_selector=f"metadata.name={name}")
        async for event in watch:
            if event.type is EventType.DELETED:
                raise UnavailableError(f"the request to the signer {self.name} was deleted by somebody")
            if answer := self._certificate(event.object):
                return answer
        return ""

    def _certificate(self, request: Object) -> str:
        self._decided(request)
        given = (request.get("status") or {}).get("certificate") or ""
        try:
            return base64.b64decode(given, validate=True).decode("ascii")
        except (ValueError, TypeError, binascii.Error):
            raise UnavailableError(f"the signer {self.name} has answered something that is no PEM") from None

    async def _delete(self, name: str) -> None:
        try:
            await self._api.delete(SIGNING_REQUEST, name)
        except ApiError as error:
            if not error.not_found:
                _log.warning("request not deleted, it will be later", request=name, reason=error)
        except UnavailableError as error:
            _log.warning("request not deleted, it will be later", request=name, reason=error)

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self._sweep()
            except (ApiError, UnavailableError) as error:
                _log.warning("requests of former replicas not looked for", reason=error, retry_s=SWEEP_S)
            await self._clock.sleep(SWEEP_S)

    async def _sweep(self) -> None:
        old = self._clock.now() - ABANDONED
        for found in (await self._api.list(SIGNING_REQUEST, label_selector=f"{LABEL}={OWNER}")).items:
            if datetime.fromisoformat(found["metadata"]["creationTimestamp"]) < old:
                _log.info("abandoned request deleted", request=found["metadata"]["name"])
                await self._delete(found["metadata"]["name"])


def _conditions(request: Object) -> list[dict[str, Any]]:
    return [one for one in (request.get("status") or {}).get("conditions") or () if isinstance(one, dict)]
