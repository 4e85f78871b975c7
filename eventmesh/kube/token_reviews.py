"""Whose token it is: asked of the API (TokenReview), and remembered for a while.

The API and not a key set of our own: it knows which accounts and pods are gone, and by which keys it signs now. Tokens
appear in no message and no log line.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from collections import OrderedDict
from typing import Any, Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.kube.account_tokens import MAX_TOKEN_CHARS, TokenRefusedError
from eventmesh.kube.api import Api, ApiError
from eventmesh.kube.resources import TOKEN_REVIEW

REMEMBERED_S: Final = 60.0
"""How long an answer holds: who shows a token with thousands of requests costs the API one question a minute, and an
account that was deleted goes on for a minute at most. Kubernetes' own API servers remember for ten seconds up to two
minutes."""

MAX_REMEMBERED: Final = 10_000
"""Answers kept, the oldest go first: some 2 MiB, and no mesh has so many accounts that show one process a token."""

MAX_ASKED: Final = 16
"""Questions to the API at a time; whoever shows made-up tokens must not take it from everybody else."""

_NEVER: Final = 253_402_300_800
"""The year 10000, in seconds: no date, and a number in JSON may be one that nothing can be computed with."""

_log = log.get("kube.token_reviews")

_Answer = tuple[str, float]
"""Subject (empty: refused), and until when on the monotonic clock."""


class TokenReviews:
    """The answers of one process."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._asking = asyncio.Semaphore(MAX_ASKED)

    async def subject(self, token: str, audience: str) -> str:
        """Return whom `token` belongs to.

        Raises TokenRefusedError when it is not for `audience` or not genuine, UnavailableError when that cannot be told
        now.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenRefusedError(f"the bearer token has {len(token)} characters; at most {MAX_TOKEN_CHARS} are read")
        # What a token claims is believed of nobody; but one that does not even claim enough needs no question.
        lifetime_s = self._claimed_lifetime_s(token, audience)
        digest = hashlib.sha256(f"{audience}\n{token}".encode()).digest()
        known = self._answers.get(digest)
        if known is None or known[1] <= self._clock.monotonic():
            async with self._asking:
                subject = await self._ask(token, audience)
            known = subject, self._clock.monotonic() + min(REMEMBERED_S, lifetime_s)
            self._remember(digest, known)
        if not known[0]:
            raise TokenRefusedError("the bearer token is not one of this cluster's, or no longer")
        return known[0]

    def _claimed_lifetime_s(self, token: str, audience: str) -> float:
        claims = _claims(token)
        audiences = claims.get("aud")
        if audience != audiences and not (isinstance(audiences, list) and audience in audiences):
            raise TokenRefusedError(f"the bearer token is not for the audience {audience}")
        expires = claims.get("exp")
        if isinstance(expires, bool) or not isinstance(expires, int | float) or not expires < _NEVER:
            raise TokenRefusedError("the bearer token never expires: only those that do are taken")
        left_s = expires - self._clock.now().timestamp()
        if left_s <= 0:
            raise TokenRefusedError("the bearer token has expired")
        return left_s

    async def _ask(self, token: str, audience: str) -> str:
        review = {
            "apiVersion": TOKEN_REVIEW.api_version,
            "kind": TOKEN_REVIEW.kind,
            "metadata": {},
            "spec": {"token": token, "audiences": [audience]},
        }
        try:
            status = (await self._api.create(TOKEN_REVIEW, review)).get("status") or {}
        except (ApiError, UnavailableError) as error:
            _log.error("token not reviewed", audience=audience, reason=error)
            raise UnavailableError("the bearer token cannot be checked now") from None
        # An API that knows of no audiences says nothing of them: then the token was made for everybody.
        if not status.get("authenticated") or audience not in (status.get("audiences") or ()):
            return ""
        return str((status.get("user") or {}).get("username") or "")

    def _remember(self, digest: bytes, answer: _Answer) -> None:
        self._answers[digest] = answer
        self._answers.move_to_end(digest)
        while len(self._answers) > MAX_REMEMBERED:
            self._answers.popitem(last=False)


def _claims(token: str) -> dict[str, Any]:
    """Return what a token claims, unchecked; raises TokenRefusedError when it is no JWT."""
    parts = token.split(".")
    try:
        if len(parts) != 3 or not token.isascii():
            raise ValueError
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise TokenRefusedError("the bearer token is no JWT") from None
    if not isinstance(claims, dict):
        raise TokenRefusedError("the bearer token is no JWT")
    return claims
