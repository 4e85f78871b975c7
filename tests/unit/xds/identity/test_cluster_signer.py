"""A signer of the cluster, in virtual time: what is asked of it, what it may answer, and that nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio

from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.resources import SIGNING_REQUEST
from eventmesh.xds.identity.cluster_signer import (
    ABANDONED,
    ANSWER_S,
    IDENTITY,
    MAX_AT_ONCE,
    SWEEP_S,
    USAGES,
    ClusterSigner,
)
from eventmesh.xds.identity.new_key import new_key
from eventmesh.xds.identity.spiffe import SpiffeId
from tests.component.cluster_ca import NAME, ClusterCa
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock, settle
from tests.unit.kube.faulty_api import FaultyApi

ROBOT = SpiffeId("cluster.local", "shop", "robot")
LIFETIME = timedelta(hours=1)


class Decided(FaultyApi):
    """Somebody decides of each request before control does."""

    decision = ""

    async def replace(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        if self.decision and subresource == "approval":
            kind, self.decision = self.decision, ""
            condition = {"type": kind, "status": "True", "reason": "Policy", "message": "not this account"}
            stored = await self.get(SIGNING_REQUEST, obj["metadata"]["name"])
            await super().replace(resource, {**stored, "status": {"conditions": [condition]}}, subresource=subresource)
        return await super().replace(resource, obj, subresource=subresource)


class World:
    def __init__(self, api: Api, clock: ManualClock) -> None:
        self.clock = clock
        self.api = Decided(api)
        self.ca = ClusterCa(api, clock)
        self.signer = ClusterSigner(self.api, clock, NAME)
        self.ends: list[str | UnavailableError] = []
        self.tasks = TaskGroup("test")
        self.tasks.spawn("ca", self.ca.run())

    async def sign(self) -> str:
        return await self.signer.sign(new_key(str(ROBOT))[1], ROBOT, LIFETIME)

    def ask(self) -> asyncio.Task[None]:
        """Ask beside the test; what comes of it is noted in `ends`."""
        return self.tasks.spawn("ask", self._noted())

    async def _noted(self) -> None:
        try:
            self.ends.append(await self.sign())
        except UnavailableError as error:
            self.ends.append(error)

    async def refused(self, after_s: float = 0.0) -> str:
        """Return the words of a refusal that comes after so long, with nothing left of the request."""
        asking = self.ask()
        if after_s:
            await self.clock.advance(after_s - 0.1)
            assert not asking.done() and await self.left() == 1
            await self.clock.advance(0.1)
        await asking
        await settle()
        (refused,) = self.ends
        assert await self.left() == 0 and isinstance(refused, UnavailableError)
        return str(refused)

    async def left(self) -> int:
        return len((await self.api.list(SIGNING_REQUEST)).items)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = ManualClock()
    async with embedded(tmp_path, clock) as running:
        world = World(running.in_process(), clock)
        yield world
        await world.tasks.stop()
        await world.signer.stop()


async def test_what_is_asked_says_who_for_how_long_and_for_what_and_is_gone_afterwards(world: World) -> None:
    answer = await world.sign()
    (asked,) = world.ca.asked
    assert answer.startswith("-----BEGIN CERTIFICATE-----")
    assert asked["spec"]["expirationSeconds"] == 3600 and asked["spec"]["usages"] == list(USAGES)
    assert asked["metadata"]["annotations"] == {IDENTITY: str(ROBOT)}
    assert asked["status"]["conditions"][0]["reason"] == "IdentityProved"
    await settle()
    assert await world.left() == 0


async def test_a_signer_that_is_silent_is_given_up_in_time(world: World) -> None:
    world.ca.status = lambda _: None
    assert await world.refused(ANSWER_S) == "the signer example.com/mesh has not answered within 10 s"


async def test_a_signer_that_fails_is_quoted(world: World) -> None:
    failed = {"type": "Failed", "status": "True", "reason": "Policy", "message": "too long"}
    world.ca.status = lambda _: {"conditions": [failed]}
    assert await world.refused() == "the request to the signer example.com/mesh failed: Policy: too long"


async def test_who_denies_a_request_before_us_is_quoted_and_obeyed(world: World) -> None:
    world.api.decision = "Denied"
    assert await world.refused() == "the request to the signer example.com/mesh was denied: Policy: not this account"
    assert world.ca.asked == []


async def test_who_approves_a_request_before_us_has_done_it(world: World) -> None:
    world.api.decision = "Approved"
    await world.sign()
    assert [one["reason"] for one in world.ca.asked[0]["status"]["conditions"]] == ["Policy"]


async def test_a_request_that_somebody_deletes_is_not_waited_for(world: World) -> None:
    world.ca.status = lambda _: None
    asking = world.ask()
    await settle()
    (found,) = (await world.api.list(SIGNING_REQUEST)).items
    await world.api.delete(SIGNING_REQUEST, found["metadata"]["name"])
    await asking
    assert str(world.ends[0]) == "the request to the signer example.com/mesh was deleted by somebody"


async def test_a_watch_that_ends_or_is_too_old_is_begun_anew(world: World) -> None:
    world.api.watch_faults = [None, ApiError(410, "Expired", "too old")]
    answer = world.ca.status
    world.ca.status = lambda _: None
    asking = world.ask()
    await world.clock.advance(1.0)
    assert world.api.watches == 3 and not asking.done()
    (request,) = world.ca.asked
    stored = await world.api.get(SIGNING_REQUEST, request["metadata"]["name"])
    status = {**stored["status"], **(answer(request) or {})}
    await world.api.replace(SIGNING_REQUEST, {**stored, "status": status}, subresource="status")
    await asking
    assert isinstance(world.ends[0], str)


async def test_an_api_that_forbids_it_is_quoted(world: World) -> None:
    world.api.watch_faults = [ApiError(403, "Forbidden", "control may not watch them")]
    world.ca.status = lambda _: None
    assert await world.refused() == "the signer example.com/mesh cannot be asked: control may not watch them"


async def test_so_many_are_under_way_at_once_and_the_others_wait_no_longer_than_they(world: World) -> None:
    world.ca.status = lambda _: None
    asking = [world.ask() for _ in range(MAX_AT_ONCE + 3)]
    await world.clock.advance(ANSWER_S - 1)
    assert await world.left() == len(world.ca.asked) == MAX_AT_ONCE
    await world.clock.advance(1)
    await asyncio.gather(*asking)
    assert [type(end) for end in world.ends] == [UnavailableError] * len(asking)
    world.ca.status = world.ca.signed
    assert await world.sign()


async def test_who_is_cancelled_leaves_no_request(world: World) -> None:
    world.ca.status = lambda _: None
    asking = world.ask()
    await settle()
    assert await world.left() == 1
    asking.cancel()
    await settle()
    assert asking.cancelled() and await world.left() == 0


async def test_what_a_killed_control_has_left_is_deleted_when_it_is_old_and_nobody_elses(world: World) -> None:
    world.ca.status = lambda _: None
    killed = world.ask()
    await settle()
    (left,) = (await world.api.list(SIGNING_REQUEST)).items
    spec = left["spec"]
    copied = {"metadata": {"name": "left", "labels": left["metadata"]["labels"]}, "spec": spec}
    await world.api.create(SIGNING_REQUEST, copied)
    await world.api.create(SIGNING_REQUEST, {"metadata": {"name": "foreign"}, "spec": spec})
    killed.cancel()
    await world.clock.advance(ABANDONED.total_seconds() - 1)
    world.signer.start()
    await settle()
    assert await world.left() == 2
    world.api.list_faults = [UnavailableError("away")]
    await world.clock.advance(SWEEP_S)
    await world.clock.advance(SWEEP_S)
    assert [one["metadata"]["name"] for one in (await world.api.list(SIGNING_REQUEST)).items] == ["foreign"]
