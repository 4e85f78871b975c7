"""The tokens that deliveries show: asked of the API for a service account and one audience, and used again."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.kube.api import Api, ApiError
from eventmesh.kube.eventing_features import FeatureStore
from eventmesh.kube.token_requests import Issued, request_token

LIFETIME_S: Final = 3_600
"""What is asked for (Knative's too); the API may grant less."""

RENEWED_BEFORE: Final = timedelta(minutes=5)
"""So long before its end a token is replaced: longer than any delivery waits for its answer."""

_Wanted = tuple[str, str, str]
"""Namespace and name of the account, audience."""


class Tokens:
    """The `Credentials` of one process."""

    def __init__(self, api: Api, features: FeatureStore, clock: Clock) -> None:
        self._api = api
        self._features = features
        self._clock = clock
        self._tokens: dict[_Wanted, Issued] = {}
        self._asking: defaultdict[_Wanted, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def bearer(self, namespace: str, account: str, audience: str) -> str:
        """Return a token; empty while authentication is off, or where nobody asks for one.

        Raises UnavailableError while the account is not there, or the API does not answer.
        """
        if not audience or not self._features.current.authentication:
            return ""
        if not account:
            raise UnavailableError(f"no service account to send under yet, for the audience {audience}")
        wanted = (namespace, account, audience)
        async with self._asking[wanted]:
            known = self._tokens.get(wanted)
            if known is None or _is_old(known, self._clock.now()):
                self._forget_old()
                known = self._tokens[wanted] = await self._ask(*wanted)
        return known.token

    def forget(self, namespace: str, account: str, audience: str) -> None:
        """Ask for another token the next time."""
        self._tokens.pop((namespace, account, audience), None)

    async def _ask(self, namespace: str, account: str, audience: str) -> Issued:
        try:
            return await request_token(self._api, namespace, account, audience, LIFETIME_S)
        except ApiError as error:
            raise UnavailableError(f"no token of {namespace}/{account}: {error.message}") from error

    def _forget_old(self) -> None:
        now = self._clock.now()
        for wanted in [wanted for wanted, token in self._tokens.items() if _is_old(token, now)]:
            del self._tokens[wanted]
            if not self._asking[wanted].locked():
                del self._asking[wanted]


def _is_old(token: Issued, now: datetime) -> bool:
    return token.ends - RENEWED_BEFORE <= now
