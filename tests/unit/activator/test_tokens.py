"""The tokens of deliveries: when the API is asked for one, and that none is ever written down."""

from __future__ import annotations

from datetime import timedelta

import pytest

from eventmesh.activator.tokens import LIFETIME_S, RENEWED_BEFORE, Tokens
from eventmesh.base.clock import rfc3339
from eventmesh.base.errors import UnavailableError
from eventmesh.kube.api import ApiError, Object, Resource
from eventmesh.kube.eventing_features import AUTHENTICATION, FeatureStore, parse_features
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import CONFIG_MAP
from tests.manual_clock import ManualClock

WHO = ("ns", "trigger-account", "audience")


class Granting:
    """An API that grants tokens."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.granted = 0
        self.there = True

    async def create(self, resource: Resource, obj: Object, namespace: str, *, subresource: str) -> Object:
        assert (resource.kind, subresource, namespace) == ("ServiceAccount", "token", "ns")
        if not self.there:
            raise ApiError(404, "NotFound", f'serviceaccounts "{obj["metadata"]["name"]}" not found')
        self.granted += 1
        expires = self.clock.now() + timedelta(seconds=obj["spec"]["expirationSeconds"])
        return {"status": {"token": f"secret-{self.granted}", "expirationTimestamp": rfc3339(expires)}}


def tokens(flag: str = "enabled") -> tuple[Tokens, Granting, ManualClock]:
    clock = ManualClock()
    api = Granting(clock)
    features = FeatureStore(Informers(None, clock).of(CONFIG_MAP))  # type: ignore[arg-type]  # never asked
    features.current = parse_features({AUTHENTICATION: flag})
    return Tokens(api, features, clock), api, clock  # type: ignore[arg-type]  # asked for nothing else


async def test_a_token_is_used_until_shortly_before_its_end() -> None:
    made, api, clock = tokens()
    assert {await made.bearer(*WHO) for _ in range(3)} == {"secret-1"}
    await clock.advance(LIFETIME_S - RENEWED_BEFORE.total_seconds() - 1)
    assert await made.bearer(*WHO) == "secret-1"
    await clock.advance(2)
    assert await made.bearer(*WHO) == "secret-2"
    assert len(made._tokens) == 1


async def test_another_audience_gets_another_token_and_one_that_was_refused_is_replaced() -> None:
    made, _, _ = tokens()
    first = await made.bearer(*WHO)
    assert await made.bearer("ns", "trigger-account", "other") != first
    made.forget(*WHO)
    assert await made.bearer(*WHO) == "secret-3"


async def test_nothing_is_shown_while_authentication_is_off_or_nobody_asks() -> None:
    made, api, _ = tokens("disabled")
    assert await made.bearer(*WHO) == ""
    on, api, _ = tokens()
    assert await on.bearer("ns", "trigger-account", "") == ""
    assert api.granted == 0


async def test_a_delivery_waits_for_an_account_that_is_not_there() -> None:
    made, api, _ = tokens()
    with pytest.raises(UnavailableError, match="no service account"):
        await made.bearer("ns", "", "audience")
    api.there = False
    with pytest.raises(UnavailableError, match="not found"):
        await made.bearer(*WHO)
    api.there = True
    assert await made.bearer(*WHO) == "secret-1"


async def test_a_token_is_not_in_the_text_of_what_holds_it() -> None:
    made, _, _ = tokens()
    await made.bearer(*WHO)
    assert "secret" not in repr(made._tokens)
