"""JobSinks: real controllers and a real activator; the Jobs are looked at, not run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from eventmesh.kube.resources import JOB, JOB_SINK, SECRET, TRIGGER
from eventmesh.kube.status import is_ready
from tests.component.broker_world import Answer, World, world_in
from tests.mesh.broker_mesh import event_headers

HOST = "job-sink.knative-eventing.svc.cluster.local"
POD = {"containers": [{"name": "c", "image": "dev.local/report"}], "restartPolicy": "Never"}
JOB_OF_SINK = {"spec": {"template": {"spec": POD}}}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def sink(world: World) -> None:
    await world.mesh.bench.create(JOB_SINK, "reports", {"job": JOB_OF_SINK})
    await world.mesh.bench.until(JOB_SINK, "reports", is_ready)


async def send(world: World, event_id: str, path: str = "/default/reports") -> Answer:
    return await world.ask(path, headers={**event_headers(event_id), "host": HOST})


async def jobs(world: World) -> list[dict[str, Any]]:
    return (await world.mesh.bench.api.list(JOB, "default")).items


async def test_each_event_is_one_job_however_often_it_comes(world: World) -> None:
    await sink(world)
    answers = [await send(world, event_id) for event_id in ("1", "1", "2")]
    assert [answer.status for answer in answers] == [202, 202, 202]
    assert answers[0].headers["location"] == answers[1].headers["location"] != answers[2].headers["location"]
    made = await jobs(world)
    assert len(made) == 2
    for job in made:
        secret = await world.mesh.bench.api.get(SECRET, job["metadata"]["name"], "default")
        assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]


async def test_the_location_tells_how_the_job_stands(world: World) -> None:
    await sink(world)
    where = (await send(world, "1")).headers["location"]

    async def state() -> int:
        return (await world.ask(where, "GET", None, {"host": HOST})).status

    assert await state() == 202
    (job,) = await jobs(world)
    for kind, status in (("Failed", 400), ("Complete", 200)):
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
        job = await world.mesh.bench.api.get(JOB, job["metadata"]["name"], "default")
        changed = {**job, "status": {**(job.get("status") or {}), "conditions": conditions}}
        await world.mesh.bench.api.replace(JOB, changed, subresource="status")
        assert await state() == status
    other = where.replace("/ids/1", "/ids/none")
    assert (await world.ask(other, "GET", None, {"host": HOST})).status == 404


async def test_bad_requests_are_told_what_is_wrong(world: World) -> None:
    await sink(world)
    headers = {**event_headers("1"), "host": HOST}
    cases: list[tuple[int, str, dict[str, Any]]] = [
        (404, 'no jobsink "none"', {"path": "/default/none"}),
        (400, "/<namespace>/<jobsink>", {"path": "/default"}),
        (400, "Location", {"path": "/default/reports", "method": "GET", "body": None}),
        (405, "POST", {"path": "/default/reports", "method": "PUT"}),
        (400, '"id"', {"path": "/default/reports", "headers": {k: v for k, v in headers.items() if k != "ce-id"}}),
    ]
    for status, words, request in cases:
        answer = await world.ask(**{"headers": headers, **request})
        assert (answer.status, words in answer.text) == (status, True), (request, answer)
    assert await jobs(world) == []


async def test_a_trigger_may_lead_to_a_job_sink(world: World) -> None:
    await sink(world)
    reference = {"apiVersion": "sinks.knative.dev/v1alpha1", "kind": "JobSink", "name": "reports"}
    await world.mesh.bench.create(TRIGGER, "t", {"broker": "shop", "subscriber": {"ref": reference}})
    made = await world.mesh.bench.until(TRIGGER, "t", is_ready)
    assert made["status"]["subscriberUri"] == f"http://{HOST}/default/reports"
