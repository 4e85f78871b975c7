from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.kube.api import ApiError, Object, Resource
from eventmesh.kube.lease import Election, LeaseTiming, process_identity
from eventmesh.kube.resources import LEASE
from tests.manual_clock import ManualClock, settle
from tests.unit.kube.faulty_api import FaultyApi, Line

SPACE = "kube-system"
NAME = "controllers"
TIMING = LeaseTiming()


class Replica:
    """A candidate whose work is to be counted as leading, and to end only when told."""

    def __init__(self, api: Line, clock: ManualClock, identity: str, at_work: list[str]) -> None:
        self.api = api
        self.identity = identity
        self.election = Election(api, clock, NAME, SPACE, identity, draw=lambda: 0.0)
        self.at_work = at_work
        self.finish = asyncio.Event()
        self.error: Exception | None = None
        self.task = TaskGroup(identity).spawn("campaign", self.election.campaign(self._work))

    async def _work(self) -> None:
        assert self.at_work == [], "two replicas lead at once"
        self.at_work.append(self.identity)
        try:
            await self.finish.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.at_work.remove(self.identity)

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


Join = Callable[[str], Replica]


@pytest.fixture
def at_work() -> list[str]:
    """Who leads now; a `Replica` fails when it finds somebody there."""
    return []


@pytest.fixture
async def join(cluster: EmbeddedApi, clock: ManualClock, at_work: list[str]) -> AsyncIterator[Join]:
    replicas: list[Replica] = []

    def one_more(identity: str) -> Replica:
        replicas.append(Replica(Line(cluster.in_process()), clock, identity, at_work))
        return replicas[-1]

    yield one_more
    for replica in replicas:
        await replica.leave()


async def lease(api: FaultyApi) -> Object:
    spec: Object = (await api.get(LEASE, NAME, SPACE))["spec"]
    return spec


async def test_the_first_candidate_leads_and_writes_what_client_go_writes(
    api: FaultyApi, join: Join, at_work: list[str]
) -> None:
    replica = join("a")
    await settle()
    assert at_work == ["a"]
    assert replica.election.leading
    assert replica.election.holder == "a"
    assert await lease(api) == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:00.000000Z",
        "leaseTransitions": 0,
    }


async def test_the_leader_renews_and_the_others_wait(
    api: FaultyApi, clock: ManualClock, join: Join, at_work: list[str]
) -> None:
    join("a")
    await settle()
    other = join("b")
    await clock.advance(10 * TIMING.duration_s)
    assert at_work == ["a"]
    assert not other.election.leading
    assert other.election.holder == "a"
    spec = await lease(api)
    assert spec["renewTime"] == "2026-01-01T00:02:30.000000Z"
    assert spec["acquireTime"] == "2026-01-01T00:00:00.000000Z"
    assert spec["leaseTransitions"] == 0


@pytest.mark.parametrize("fault", ["cut", "silent"])
async def test_who_is_cut_off_stops_before_another_begins(
    clock: ManualClock, join: Join, at_work: list[str], fault: str
) -> None:
    first = join("a")
    await settle()
    join("b")
    await settle()
    setattr(first.api, fault, True)
    await clock.advance(TIMING.renew_deadline_s - 0.001)
    assert at_work == ["a"]
    await clock.advance(0.001)
    assert at_work == []
    assert not first.election.leading
    await clock.advance(TIMING.duration_s - TIMING.renew_deadline_s + TIMING.retry_s)
    assert at_work == ["b"]


async def test_who_comes_back_in_time_goes_on_without_a_pause(
    clock: ManualClock, join: Join, at_work: list[str]
) -> None:
    first = join("a")
    await settle()
    work = first.at_work
    first.api.cut = True
    await clock.advance(TIMING.renew_deadline_s - 3.0)
    first.api.cut = False
    await clock.advance(TIMING.renew_deadline_s)
    assert first.election.leading
    assert work == ["a"]


async def test_a_leader_that_lost_campaigns_again(clock: ManualClock, join: Join, at_work: list[str]) -> None:
    first = join("a")
    await settle()
    first.api.cut = True
    await clock.advance(TIMING.renew_deadline_s)
    assert at_work == []
    first.api.cut = False
    await clock.advance(TIMING.retry_s)
    assert at_work == ["a"]


async def test_who_leaves_gives_the_lease_back_and_the_next_need_not_wait_for_its_end(
    api: FaultyApi, clock: ManualClock, join: Join, at_work: list[str]
) -> None:
    first = join("a")
    await settle()
    join("b")
    await settle()
    await first.leave()
    assert (await lease(api))["holderIdentity"] == ""
    await clock.advance(TIMING.retry_s)
    assert at_work == ["b"]
    assert (await lease(api))["leaseTransitions"] == 1


async def test_work_that_ends_ends_the_campaign_and_gives_the_lease_back(api: FaultyApi, join: Join) -> None:
    replica = join("a")
    await settle()
    replica.finish.set()
    await replica.task
    assert not replica.election.leading
    assert (await lease(api))["holderIdentity"] == ""


async def test_an_error_of_the_work_is_raised_after_the_lease_was_given_back(api: FaultyApi, join: Join) -> None:
    replica = join("a")
    await settle()
    replica.error = ValueError("a bug")
    replica.finish.set()
    with pytest.raises(ValueError, match="a bug"):
        await replica.task
    assert (await lease(api))["holderIdentity"] == ""


async def test_a_lease_that_another_took_away_is_lost_at_the_next_renewal(
    api: FaultyApi, clock: ManualClock, join: Join, at_work: list[str]
) -> None:
    join("a")
    await settle()
    taken = await api.get(LEASE, NAME, SPACE)
    await api.replace(LEASE, {**taken, "spec": {**taken["spec"], "holderIdentity": "an administrator"}})
    await clock.advance(TIMING.retry_s)
    assert at_work == []
    assert (await lease(api))["holderIdentity"] == "an administrator"


async def test_a_lease_that_somebody_deleted_or_touched_is_still_the_leaders(
    api: FaultyApi, clock: ManualClock, join: Join, at_work: list[str]
) -> None:
    join("a")
    await settle()
    await api.patch(LEASE, NAME, {"metadata": {"labels": {"seen": "yes"}}, "spec": {"preferredHolder": "b"}}, SPACE)
    await clock.advance(TIMING.retry_s)
    assert at_work == ["a"]
    spec = await lease(api)
    assert (spec["renewTime"], spec["preferredHolder"]) == ("2026-01-01T00:00:02.000000Z", "b")
    await api.delete(LEASE, NAME, SPACE)
    await clock.advance(TIMING.retry_s)
    assert at_work == ["a"]
    assert (await lease(api))["holderIdentity"] == "a"


async def test_a_record_counts_from_when_it_was_seen_and_for_as_long_as_its_holder_said(
    api: FaultyApi, clock: ManualClock, join: Join, at_work: list[str]
) -> None:
    # Its holder died long ago, by a clock that may be wrong: a candidate that has just come cannot know.
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": 40, "renewTime": "2020-01-01T00:00:00.000000Z"}
    await api.create(LEASE, {"metadata": {"name": NAME, "namespace": SPACE}, "spec": spec}, SPACE)
    join("a")
    await clock.advance(39.9)
    assert at_work == []
    await clock.advance(TIMING.retry_s)
    assert at_work == ["a"]


@pytest.mark.parametrize("spec", [{}, {"holderIdentity": ""}, {"leaseTransitions": 3}])
async def test_a_lease_without_a_holder_is_free(
    api: FaultyApi, join: Join, at_work: list[str], spec: dict[str, object]
) -> None:
    await api.create(LEASE, {"metadata": {"name": NAME, "namespace": SPACE}, "spec": spec}, SPACE)
    join("a")
    await settle()
    assert at_work == ["a"]


async def test_of_many_candidates_that_all_come_and_go_one_leads_at_a_time(
    clock: ManualClock, join: Join, at_work: list[str]
) -> None:
    replicas = [join(f"replica-{number}") for number in range(5)]
    for leaving in replicas[:4]:
        await clock.advance(TIMING.retry_s)
        assert len(at_work) == 1
        await leaving.leave()
    await clock.advance(TIMING.retry_s)
    assert at_work == ["replica-4"]


@pytest.mark.parametrize(
    ("duration_s", "renew_deadline_s", "retry_s"), [(0, 10.0, 2.0), (10, 10.0, 2.0), (15, 2.4, 2.0), (15, 10.0, 0.0)]
)
def test_timings_that_would_let_two_lead_are_refused(duration_s: int, renew_deadline_s: float, retry_s: float) -> None:
    with pytest.raises(ConfigError):
        LeaseTiming(duration_s, renew_deadline_s, retry_s)


def test_two_processes_of_one_host_have_two_names() -> None:
    assert process_identity() != process_identity()


async def test_a_candidate_that_was_refused_by_the_api_tries_again(
    cluster: EmbeddedApi, clock: ManualClock, at_work: list[str]
) -> None:
    class Forbidding(Line):
        refusals = 2

        async def create(self, resource: Resource, obj: Object, *rest: Any, **options: Any) -> Object:
            if self.refusals:
                self.refusals -= 1
                raise ApiError(403, "Forbidden", "leases are not yours")
            return await super().create(resource, obj, *rest, **options)

    replica = Replica(Forbidding(cluster.in_process()), clock, "a", at_work)
    await clock.advance(2 * TIMING.retry_s)
    assert at_work == ["a"]
    await replica.leave()
