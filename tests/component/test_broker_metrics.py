"""What the activator's admin port counts of events is what happened, and every family is documented."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from aiohttp import web

from eventmesh.kube.resources import TRIGGER
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import event_headers
from tests.waiting import WAIT_S

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


async def rows(world: World) -> dict[str, float]:
    """Return the rows of the broker: `name{labels}` -> value."""
    text = (await world.ask_admin("/stats/prometheus")).text
    lines = (line.rpartition(" ") for line in text.splitlines() if re.match(r"eventmesh_(broker|trigger)_", line))
    return {name: float(value) for name, _, value in lines}


async def until(world: World, **wanted: float) -> dict[str, float]:
    """Return all rows as soon as these are so."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = await rows(world)
            if all(found.get(name) == value for name, value in wanted.items()):
                return found


async def test_accepted_refused_delivered_retried_and_dead_are_counted(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        good = await world.subscriber()
        bad = await world.subscriber(lambda _: web.Response(status=503))
        await world.trigger("good", good, type="order")
        await world.trigger("bad", bad, {"retry": 2, "backoffPolicy": "linear", "backoffDelay": "PT0.01S"})
        for number in range(3):
            await world.send(f"m{number}", type="order" if number else "bill")
        assert (await world.ask(headers=event_headers("x", time="never"))).status == 400
        assert (await world.ask("/default/nobody", headers=event_headers("y"))).status == 404
        assert (await world.ask(headers={"content-type": "application/cloudevents+xml"})).status == 415

        shop, good_one, bad_one = (
            'namespace="default",broker="shop"',
            'namespace="default",trigger="good"',
            'namespace="default",trigger="bad"',
        )
        wanted = {
            f"eventmesh_broker_events_accepted_total{{{shop}}}": 3,
            f'eventmesh_broker_events_refused_total{{{shop},reason="invalid"}}': 1,
            f'eventmesh_broker_events_refused_total{{{shop},reason="unsupported_format"}}': 1,
            'eventmesh_broker_events_refused_total{namespace="",broker="",reason="unknown_broker"}': 1,
            f"eventmesh_broker_accept_duration_seconds_count{{{shop}}}": 3,
            f'eventmesh_trigger_events_total{{{good_one},outcome="delivered"}}': 2,
            f'eventmesh_trigger_events_total{{{good_one},outcome="filtered"}}': 1,
            f'eventmesh_trigger_events_total{{{bad_one},outcome="kept"}}': 3,
            f'eventmesh_trigger_attempts_total{{{good_one},code="202"}}': 2,
            f'eventmesh_trigger_attempts_total{{{bad_one},code="503"}}': 9,
            f"eventmesh_trigger_retries_total{{{bad_one}}}": 6,
            f"eventmesh_trigger_attempt_duration_seconds_count{{{bad_one}}}": 9,
            f"eventmesh_trigger_delivery_latency_seconds_count{{{good_one}}}": 2,
            f"eventmesh_trigger_backlog{{{good_one}}}": 0,
            f"eventmesh_trigger_queued{{{good_one}}}": 0,
            f"eventmesh_trigger_dead_letters{{{bad_one}}}": 3,
        }
        found = await until(world, **wanted)
        assert found["eventmesh_broker_store_bytes"] > 0
        families = {re.sub(r"(_bucket|_sum|_count)?(\{.*)?$", "", name) for name in found}
        documented = set(re.findall(r"`(eventmesh_(?:broker|trigger)_\w+)`", PAGE.read_text()))
        assert families | {"eventmesh_broker_events_duplicate_total"} == documented

        await world.mesh.bench.api.delete(TRIGGER, "bad", "default")
        async with asyncio.timeout(WAIT_S):
            while any('trigger="bad"' in name for name in await rows(world)):
                pass
