"""The service account tokens of one pod's volumes: asked for before it starts, and anew before they expire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Api, Object
from eventmesh.kube.resources import SERVICE_ACCOUNT

_log = log.get("runtime.tokens")

DEFAULT_SECONDS: Final = 3600
"""Kubernetes' default of `expirationSeconds`."""

RENEW_AT: Final = 0.8
"""The part of its life after which a token is replaced; the kubelet's own."""

MAX_AGE: Final = timedelta(hours=24)
"""A token is replaced by then however long it would live; the kubelet's own."""

FIRST_RETRY_S: Final = 1.0
"""How soon a token that is still missing is asked for again: a container waits for it, and an account is often made
in the moment after its pod."""

RETRY_S: Final = 10.0
"""How soon a refused renewal is tried again: it has a fifth of the token's life, two minutes at least, to succeed."""


@frozen
class Projection:
    """What a volume wants of a token; equal ones share one."""

    audience: str
    """Empty: that of the API itself."""
    seconds: int

    @classmethod
    def of(cls, source: Object) -> Projection:
        """Return what the `serviceAccountToken` of a projected volume asks for."""
        seconds = source.get("expirationSeconds")
        return cls(source.get("audience") or "", DEFAULT_SECONDS if seconds is None else seconds)


def projections(pod: Object) -> frozenset[Projection]:
    """Return every token that the volumes of `pod` want."""
    return frozenset(
        Projection.of(source["serviceAccountToken"])
        for volume in pod["spec"].get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
        if "serviceAccountToken" in source
    )


def renewal(issued: datetime, expires: datetime) -> datetime:
    """Return when a token is to be replaced."""
    return issued + min((expires - issued) * RENEW_AT, MAX_AGE)


class PodTokens:
    """The tokens of one pod, bound to it: they end with it."""

    def __init__(self, api: Api, clock: Clock, pod: Object) -> None:
        self._api = api
        self._clock = clock
        self._pod = pod
        self._wanted = projections(pod)
        self._current: dict[Projection, str] = {}
        self._due: dict[Projection, datetime] = {}

    @property
    def current(self) -> Mapping[Projection, str]:
        """Return the tokens that are there now; a view that stays up to date."""
        return self._current

    async def fetch(self) -> bool:
        """Ask for what is missing or due, and return whether anything changed; a refusal is logged and tried again."""
        now, changed = self._clock.now(), False
        for wanted in self._wanted:
            if wanted in self._due and now < self._due[wanted]:
                continue
            try:
                await self._ask(wanted)
                changed = True
            except MeshError as error:
                _log.warning("no token for a volume", pod=self._pod["metadata"]["name"], reason=error)
        return changed

    async def keep(self, changed: Callable[[], None]) -> None:
        """Replace tokens as they come due, and say so to `changed`, until cancelled; returns when none is wanted."""
        while self._wanted:
            await self._clock.sleep(self._pause_s())
            if await self.fetch():
                changed()

    def _pause_s(self) -> float:
        if len(self._due) < len(self._wanted):
            return FIRST_RETRY_S
        left_s = (min(self._due.values()) - self._clock.now()).total_seconds()
        return left_s if left_s > 0.0 else RETRY_S

    async def _ask(self, wanted: Projection) -> None:
        metadata, account = self._pod["metadata"], self._pod["spec"]["serviceAccountName"]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        audiences = [wanted.audience] if wanted.audience else []
        request: Object = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"name": account, "namespace": metadata["namespace"]},
            "spec": {"audiences": audiences, "expirationSeconds": wanted.seconds, "boundObjectRef": bound},
        }
        asked_at = self._clock.now()
        answer = await self._api.create(SERVICE_ACCOUNT, request, metadata["namespace"], subresource="token")
        status = answer["status"]
        self._current[wanted] = status["token"]
        # By the answer: an issuer may grant less time than was asked for.
        expires = datetime.fromisoformat(status["expirationTimestamp"].replace("Z", "+00:00"))
        self._due[wanted] = renewal(asked_at, expires)
