"""CronJobs over the real embedded API, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.base.clock import rfc3339
from eventmesh.base.cron import Schedule
from eventmesh.controllers.workloads.cron_plan import MAX_MISSED, due
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import CRON_JOB, EVENT, JOB, POD
from tests.unit.controllers.workloads.cluster import Cluster

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path)
    await cluster.start()
    yield cluster
    await cluster.stop()


def cron_job(schedule: str = "*/5 * * * *", **spec: Any) -> Object:
    pod = {"containers": [{"name": "work", "image": "dev.local/work"}], "restartPolicy": "Never"}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "often", "namespace": "default"},
        "spec": {
            "schedule": schedule,
            "jobTemplate": {
                "metadata": {"labels": {"tier": "night"}},
                "spec": {"backoffLimit": 0, "template": {"spec": pod}},
            },
            **spec,
        },
    }


async def create(cluster: Cluster, **spec: Any) -> None:
    await cluster.api.create(CRON_JOB, cron_job(**spec), "default")
    await cluster.all(CRON_JOB)


async def after(cluster: Cluster, seconds: float) -> list[str]:
    """Let time pass; return the names of the Jobs there are."""
    await cluster.clock.advance(seconds)
    return sorted(job["metadata"]["name"] for job in await cluster.all(JOB))


async def end(cluster: Cluster, phase: str) -> None:
    for pod in await cluster.pods():
        if pod["status"]["phase"] not in ("Succeeded", "Failed"):
            name, status = pod["metadata"]["name"], {"phase": phase}
            await cluster.api.patch(POD, name, {"status": status}, "default", subresource="status")
    await cluster.all(JOB)


def name(minutes: int) -> str:
    return f"often-{int(MIDNIGHT.timestamp()) // 60 + minutes}"


async def stored(cluster: Cluster) -> Object:
    (found,) = await cluster.all(CRON_JOB)
    return found


async def test_a_job_begins_at_each_time_and_is_told_in_the_status(cluster: Cluster) -> None:
    await create(cluster)
    assert await after(cluster, 299.0) == []
    assert await after(cluster, 2.0) == [name(5)]
    (job,) = await cluster.all(JOB)
    assert job["metadata"]["labels"]["tier"] == "night"
    assert job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2026-01-01T00:05:00Z"
    found = await stored(cluster)
    assert found["status"]["lastScheduleTime"] == "2026-01-01T00:05:00Z"
    assert [entry["name"] for entry in found["status"]["active"]] == [name(5)]
    await end(cluster, "Succeeded")
    found = await stored(cluster)
    assert "active" not in found["status"]
    assert found["status"]["lastSuccessfulTime"] == rfc3339(cluster.clock.now())
    assert await after(cluster, 300.0) == [name(5), name(10)]


@pytest.mark.parametrize(
    ("policy", "there"),
    [("Allow", [name(5), name(10)]), ("Forbid", [name(5)]), ("Replace", [name(10)])],
)
async def test_the_policy_says_what_becomes_of_a_job_that_still_runs(
    cluster: Cluster, policy: str, there: list[str]
) -> None:
    await create(cluster, concurrencyPolicy=policy)
    await after(cluster, 301.0)
    await after(cluster, 300.0)
    await cluster.remove()
    assert await after(cluster, 1.0) == there


async def test_a_time_that_was_forbidden_is_used_as_soon_as_the_job_before_has_ended(cluster: Cluster) -> None:
    await create(cluster, concurrencyPolicy="Forbid")
    await after(cluster, 301.0)
    await after(cluster, 300.0)
    assert "JobAlreadyActive" in {event["reason"] for event in await cluster.all(EVENT)}
    await end(cluster, "Succeeded")
    assert await after(cluster, 1.0) == [name(5), name(10)]


async def test_history_keeps_three_that_succeeded_and_one_that_failed(cluster: Cluster) -> None:
    await create(cluster)
    for number in range(1, 8):
        await after(cluster, 300.5)
        await end(cluster, "Failed" if number in (2, 4) else "Succeeded")
    left = {job["metadata"]["name"]: bool(job["status"].get("succeeded")) for job in await cluster.all(JOB)}
    assert left == {name(20): False, name(25): True, name(30): True, name(35): True}


async def test_a_suspended_one_begins_nothing(cluster: Cluster) -> None:
    await create(cluster, suspend=True)
    assert await after(cluster, 3600.0) == []


async def test_a_schedule_is_read_in_its_time_zone(cluster: Cluster) -> None:
    await create(cluster, schedule="0 2 * * *", timeZone="Europe/Berlin")
    assert await after(cluster, 3599.0) == []
    assert await after(cluster, 2.0) == [name(60)]


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"schedule": "every day"}, "spec.schedule: Invalid value"),
        ({"schedule": ""}, "spec.schedule: Required value"),
        ({"timeZone": "Mars/Base"}, "spec.timeZone: Invalid value"),
        ({"concurrencyPolicy": "Maybe"}, 'spec.concurrencyPolicy: Unsupported value: "Maybe"'),
        ({"failedJobsHistoryLimit": -1}, "spec.failedJobsHistoryLimit: Invalid value: -1"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_field(cluster: Cluster, spec: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ApiError) as refused:
        await create(cluster, **spec)
    assert refusal in refused.value.message


def at(last: timedelta, **spec: Any) -> Object:
    return {
        "metadata": {"creationTimestamp": rfc3339(MIDNIGHT)},
        "spec": spec,
        "status": {"lastScheduleTime": rfc3339(MIDNIGHT + last)},
    }


def test_of_many_missed_times_the_last_is_used_and_the_number_told() -> None:
    every_minute = Schedule.parse("* * * * *")
    now = MIDNIGHT + timedelta(days=400, seconds=30)
    found = due(every_minute, at(timedelta()), now)
    assert found.at == MIDNIGHT + timedelta(days=400)
    assert found.missed > MAX_MISSED


def test_times_older_than_the_starting_deadline_are_not_made_up_for() -> None:
    hourly = Schedule.parse("0 * * * *")
    now = MIDNIGHT + timedelta(hours=3, minutes=30)
    assert due(hourly, at(timedelta(), startingDeadlineSeconds=600), now).at is None
    assert due(hourly, at(timedelta()), now).at == MIDNIGHT + timedelta(hours=3)
