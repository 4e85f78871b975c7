"""Brokers, JobSinks, KafkaSinks and RequestReplies take events in: what is none is answered by all of them alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from eventmesh.kube.resources import JOB_SINK, KAFKA_SINK
from eventmesh.kube.status import is_ready
from tests.component.broker_world import World, world_in
from tests.component.test_job_sinks import HOST as JOBS
from tests.component.test_job_sinks import JOB_OF_SINK
from tests.component.test_kafka_sinks import HOST as KAFKA
from tests.component.test_kafka_sinks import SPEC, failed
from tests.component.test_request_reply import HOST as REPLIES
from tests.component.test_request_reply import asking, until_known
from tests.mesh.broker_mesh import SHOP, event_headers

BINARY = event_headers("1")
UNREADABLE: dict[str, tuple[int, dict[str, str], bytes]] = {
    "no event at all": (400, {"content-type": "text/plain"}, b"hello"),
    "an attribute missing": (400, {name: value for name, value in BINARY.items() if name != "ce-type"}, b"{}"),
    "an attribute that breaks a rule": (400, {**BINARY, "ce-time": "yesterday"}, b"{}"),
    "no JSON": (400, {"content-type": "application/cloudevents+json"}, b"{"),
    "a format that nobody here knows": (415, {"content-type": "application/cloudevents+avro"}, b"x"),
}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def test_what_is_no_event_gets_the_same_words_at_every_entrance(world: World) -> None:
    await world.mesh.bench.create(JOB_SINK, "reports", {"job": JOB_OF_SINK})
    await world.mesh.bench.until(JOB_SINK, "reports", is_ready)
    await world.mesh.bench.create(KAFKA_SINK, "orders", SPEC)
    await failed(world, "orders")
    await asking(world)
    await until_known(world)
    entrances = (
        (f"/default/{SHOP}", ""),
        ("/default/reports", JOBS),
        ("/default/orders", KAFKA),
        ("/default/ask", REPLIES),
    )
    for what, (status, headers, body) in UNREADABLE.items():
        answers = []
        for path, host in entrances:
            sent = {**headers, "host": host} if host else headers
            answers.append(await world.ask(path, body=body, headers=sent))
        assert [answer.status for answer in answers] == [status] * len(entrances), (what, answers)
        assert len({answer.text for answer in answers}) == 1 and answers[0].text.endswith("\n"), (what, answers)
        assert all(answer.headers["content-type"].startswith("text/plain") for answer in answers)
