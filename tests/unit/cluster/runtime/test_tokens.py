"""A pod's tokens in virtual time: asked for once, replaced in time, tried again when refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest_asyncio

from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.identity import Identity
from eventmesh.cluster.runtime.tokens import FIRST_RETRY_S, PodTokens, Projection, renewal
from eventmesh.cluster.store.store import Store
from eventmesh.kube.api import Api, Object
from eventmesh.kube.resources import POD, SERVICE_ACCOUNT
from tests.manual_clock import ManualClock, settle

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_token_is_replaced_after_four_fifths_of_its_life_or_a_day() -> None:
    assert renewal(NOW, NOW + timedelta(hours=1)) == NOW + timedelta(minutes=48)
    assert renewal(NOW, NOW + timedelta(days=30)) == NOW + timedelta(hours=24)


@dataclass
class World:
    clock: ManualClock
    embedded: EmbeddedApi
    api: Api

    def bearer(self, token: str, audience: str) -> Identity:
        return self.embedded.authenticator.identify(token, (audience,))[0]


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = ManualClock()
    store = Store(tmp_path / "store", clock)
    embedded = EmbeddedApi(store, clock)
    await embedded.start()
    await settle()
    yield World(clock, embedded, embedded.in_process())
    await embedded.stop()
    store.close()


async def made_pod(world: World, *wanted: Object, account: str = "default") -> Object:
    sources = [{"serviceAccountToken": {"path": "token", **each}} for each in wanted]
    spec: Object = {
        "containers": [{"name": "c", "image": "i"}],
        "serviceAccountName": account,
        "volumes": [{"name": "v", "projected": {"sources": sources}}],
    }
    return await world.api.create(POD, {"metadata": {"name": "p"}, "spec": spec}, "default")


async def test_tokens_are_replaced_in_time_and_are_the_pods_own(world: World) -> None:
    pod = await made_pod(world, {"audience": "orders", "expirationSeconds": 1000})
    tokens, told, tasks = PodTokens(world.api, world.clock, pod), [], TaskGroup("test")
    assert await tokens.fetch()
    first = tokens.current[Projection("orders", 1000)]
    bearer = world.bearer(first, "orders")
    assert bearer.name == "system:serviceaccount:default:default"
    assert bearer.extra["authentication.kubernetes.io/pod-name"] == ("p",)
    tasks.spawn("keep", tokens.keep(lambda: told.append(world.clock.monotonic())))
    await world.clock.advance(799)
    assert told == [] and tokens.current[Projection("orders", 1000)] == first
    await world.clock.advance(1)
    assert told == [800.0]
    second = tokens.current[Projection("orders", 1000)]
    assert second != first and world.bearer(second, "orders").name == bearer.name
    await tasks.stop()


async def test_a_refused_token_is_asked_for_again_until_it_comes(world: World) -> None:
    await world.api.create(SERVICE_ACCOUNT, {"metadata": {"name": "robot"}}, "default")
    pod = await made_pod(world, {"audience": "orders"}, account="robot")
    await world.api.delete(SERVICE_ACCOUNT, "robot", "default")
    tokens, told, tasks = PodTokens(world.api, world.clock, pod), [], TaskGroup("test")
    assert not await tokens.fetch() and not tokens.current
    tasks.spawn("keep", tokens.keep(lambda: told.append(True)))
    await world.clock.advance(FIRST_RETRY_S)
    assert told == []
    await world.api.create(SERVICE_ACCOUNT, {"metadata": {"name": "robot"}}, "default")
    await world.clock.advance(FIRST_RETRY_S)
    assert told == [True] and list(tokens.current) == [Projection("orders", 3600)]
    await tasks.stop()


async def test_a_pod_that_wants_no_token_has_none(world: World) -> None:
    pod = await made_pod(world)
    tokens = PodTokens(world.api, world.clock, pod)
    assert not await tokens.fetch()
    await tokens.keep(lambda: None)
