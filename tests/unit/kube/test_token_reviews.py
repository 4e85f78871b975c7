"""Which tokens are asked about, how long an answer holds, and what is said of those that are refused."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.kube.account_tokens import MAX_TOKEN_CHARS, TokenRefusedError
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.token_reviews import MAX_REMEMBERED, REMEMBERED_S, TokenReviews
from tests.manual_clock import ManualClock

AUDIENCE = "eventing.knative.dev/broker/ns/shop"
SUBJECT = "system:serviceaccount:ns:a"


class Reviewing:
    """An API that answers TokenReviews, and counts them."""

    def __init__(self) -> None:
        self.asked = 0
        self.status: Object = {"authenticated": True, "audiences": [AUDIENCE], "user": {"username": SUBJECT}}
        self.away = False

    async def create(self, resource: Resource, obj: Object, namespace: str | None = None) -> Object:
        assert resource.kind == "TokenReview" and obj["spec"]["audiences"] == [AUDIENCE]
        self.asked += 1
        if self.away:
            raise UnavailableError("connection refused")
        return {**obj, "status": self.status}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def api() -> Reviewing:
    return Reviewing()


@pytest.fixture
def reviews(api: Reviewing, clock: ManualClock) -> TokenReviews:
    return TokenReviews(api, clock)  # type: ignore[arg-type]  # asked for nothing else


def token(clock: ManualClock, *, lives_s: float = 3600.0, audience: object = AUDIENCE, **more: object) -> str:
    claims = {"aud": audience, "exp": (clock.now() + timedelta(seconds=lives_s)).timestamp(), **more}
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


async def test_the_api_is_asked_once_for_as_long_as_its_answer_holds(
    api: Reviewing, clock: ManualClock, reviews: TokenReviews
) -> None:
    shown = token(clock)
    assert {await reviews.subject(shown, AUDIENCE) for _ in range(5)} == {SUBJECT}
    assert api.asked == 1
    await clock.advance(REMEMBERED_S + 1)
    assert await reviews.subject(shown, AUDIENCE) == SUBJECT
    assert api.asked == 2


async def test_no_answer_outlives_the_token(api: Reviewing, clock: ManualClock, reviews: TokenReviews) -> None:
    shown = token(clock, lives_s=10)
    assert await reviews.subject(shown, AUDIENCE) == SUBJECT
    await clock.advance(11)
    with pytest.raises(TokenRefusedError, match="has expired"):
        await reviews.subject(shown, AUDIENCE)
    assert api.asked == 1


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("a.b", "no JWT"),
        ("a.%%.c", "no JWT"),
        ("e30.W10.c2ln", "no JWT"),
        ("x" * (MAX_TOKEN_CHARS + 1), f"at most {MAX_TOKEN_CHARS}"),
        ({"audience": "somebody"}, "not for the audience"),
        ({"audience": [7, None]}, "not for the audience"),
        ({"audience": {AUDIENCE: 1}}, "not for the audience"),
        ({"exp": "soon"}, "never expires"),
        ({"exp": True}, "never expires"),
        ({"exp": 10**400}, "never expires"),
        ({"exp": float("inf")}, "never expires"),
        ({"exp": float("nan")}, "never expires"),
        ("\udce9.e30.c2ln", "no JWT"),
    ],
)
async def test_a_token_that_does_not_even_claim_enough_costs_no_question(
    api: Reviewing, clock: ManualClock, reviews: TokenReviews, shown: Any, said: str
) -> None:
    text = shown if isinstance(shown, str) else token(clock, **shown)
    with pytest.raises(TokenRefusedError, match=said) as refused:
        await reviews.subject(text, AUDIENCE)
    assert api.asked == 0
    assert text not in str(refused.value)


@pytest.mark.parametrize("status", [{"authenticated": False}, {"authenticated": True, "user": {"username": SUBJECT}}])
async def test_what_the_api_does_not_vouch_for_is_refused_and_remembered(
    api: Reviewing, clock: ManualClock, reviews: TokenReviews, status: Object
) -> None:
    api.status = status
    shown = token(clock)
    for _ in range(3):
        with pytest.raises(TokenRefusedError, match="not one of this cluster's"):
            await reviews.subject(shown, AUDIENCE)
    assert api.asked == 1


async def test_an_api_that_is_away_refuses_nobody_and_is_asked_again(
    api: Reviewing, clock: ManualClock, reviews: TokenReviews, caplog: pytest.LogCaptureFixture
) -> None:
    api.away = True
    shown = token(clock)
    with pytest.raises(UnavailableError, match="cannot be checked now"):
        await reviews.subject(shown, AUDIENCE)
    assert shown not in caplog.text
    api.away = False
    assert await reviews.subject(shown, AUDIENCE) == SUBJECT


async def test_no_more_answers_are_kept_than_the_limit(
    api: Reviewing, clock: ManualClock, reviews: TokenReviews
) -> None:
    await asyncio.gather(*(reviews.subject(token(clock, jti=number), AUDIENCE) for number in range(MAX_REMEMBERED + 5)))
    assert len(reviews._answers) == MAX_REMEMBERED
