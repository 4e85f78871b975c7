"""Keeps this replica's Lease: renewed three times in its duration, and at once when there is news for who leads.

Kubernetes' own API servers announce themselves so (`apiserver-HASH` in kube-system). It is written by nobody else, and
elects nobody.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import first_of
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.resources import LEASE
from eventmesh.xds.control.acks import RESOLUTION_S
from eventmesh.xds.control.replicas.word import ANNOTATION, Word
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE

LABELS: Final = {"app.kubernetes.io/name": "eventmesh", "eventmesh.io/replica-of": "control"}

RENEWALS = 3
"""In the duration of a Lease: two may be lost."""

MIN_PAUSE_S = 0.2
"""Between two writes. The first news after quiet goes at once; under endless change it is five writes a second."""

RETRY_S = 2.0
"""After a write that failed."""

RELEASE_S = 2.0
"""An API that does not answer keeps a process that ends no longer; its Lease runs out by itself."""

_log = log.get("xds.replicas")


@frozen
class News:
    """What is told, and what of it is worth telling at once."""

    word: Word
    generation: int = -1
    """Which publication is acknowledged."""

    def differs(self, told: News | None) -> bool:
        """Tell whether who leads may do other things because of it."""
        if told is None:
            return True
        mine, theirs = ((one.word.clients, one.generation, one.word.refused) for one in (self, told))
        return mine != theirs


class OwnWord:
    """The Lease of this replica."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        identity: str,
        lasts_s: int,
        compose: Callable[[], News],
        is_listened_to: Callable[[], bool],
    ) -> None:
        """`compose` returns what there is to say; `is_listened_to`: whether anybody acts by it, which is not so of the
        word of the one that leads."""
        self.name = lease_name(identity)
        self._api = api
        self._clock = clock
        self._identity = identity
        self._lasts_s = lasts_s
        self._compose = compose
        self._is_listened_to = is_listened_to
        self._again = asyncio.Event()
        self._lease: Object | None = None
        self._told: News | None = None
        self._trouble = ""

    def look_again(self) -> None:
        """Have what there is to say composed anew, and told if it differs."""
        self._again.set()

    async def run(self) -> None:
        """Tell until cancelled; then take the Lease away."""
        try:
            due = self._clock.monotonic()
            while True:
                self._again.clear()
                news = self._compose()
                if self._clock.monotonic() >= due - RESOLUTION_S or (
                    self._is_listened_to() and news.differs(self._told)
                ):
                    wrote = await self._write(news)
                    due = self._clock.monotonic() + (self._lasts_s / RENEWALS if wrote else RETRY_S)
                    await self._clock.sleep(MIN_PAUSE_S if wrote else RETRY_S)
                await first_of(self._again.wait(), self._clock.sleep(due - self._clock.monotonic()))
        finally:
            await first_of(self._remove(), self._clock.sleep(RELEASE_S))

    async def _write(self, news: News) -> bool:
        trouble = f"the API has not answered for {RETRY_S:g} s"
        try:
            # A server that hangs must not keep this replica from trying again: its Lease would run out.
            await first_of(self._put(news), self._clock.sleep(RETRY_S))
        except (ApiError, UnavailableError) as error:
            trouble = str(error)
        if self._told is not news:
            self._tell(trouble)
            return False
        self._trouble = ""
        return True

    async def _put(self, news: News) -> None:
        known, self._lease = self._lease, None
        if known is None:
            known = await self._stored()
        body: Object = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {
                "name": self.name,
                "namespace": SYSTEM_NAMESPACE,
                "labels": LABELS,
                "annotations": {ANNOTATION: news.word.to_json()},
            },
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._lasts_s,
                "renewTime": self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            },
        }
        if known is None:
            self._lease = await self._api.create(LEASE, body, SYSTEM_NAMESPACE)
        else:
            self._lease = await self._api.replace(
                LEASE, {**body, "metadata": {**known["metadata"], **body["metadata"]}}
            )
        self._told = news

    async def _stored(self) -> Object | None:
        try:
            return await self._api.get(LEASE, self.name, SYSTEM_NAMESPACE)
        except ApiError as error:
            if not error.not_found:
                raise
            return None

    async def _remove(self) -> None:
        try:
            await self._api.delete(LEASE, self.name, SYSTEM_NAMESPACE)
        except (ApiError, UnavailableError) as error:
            _log.debug("own lease not removed", lease=self.name, reason=error)

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            _log.warning("other replicas do not hear of this one", lease=self.name, reason=trouble)


def lease_name(identity: str) -> str:
    """Return how the Lease of the replica `identity` is called."""
    return "eventmesh-control-" + re.sub(r"[^a-z0-9-]", "-", identity.lower())
