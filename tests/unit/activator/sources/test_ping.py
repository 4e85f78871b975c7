"""PingSources in virtual time: each tick once, none made up for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest_asyncio

from eventmesh.activator.sources.ping import PingSources
from eventmesh.base.clock import SystemClock
from eventmesh.cloudevents.event import Event
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.store.store import Store
from eventmesh.kube.api import Object
from eventmesh.kube.informer import Informer, Informers
from eventmesh.kube.ping_source import parse_ping
from eventmesh.kube.resources import NAMESPACE, PING_SOURCE
from tests.manual_clock import ManualClock, settle
from tests.waiting import WAIT_S

SINK = {"uri": "http://sink/"}


class WrittenDown:
    """An Outbox that only remembers."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.events: list[tuple[str, Event]] = []

    async def open(self, uid: str, key: str) -> None:
        self.opened.append(key)

    async def put(self, uid: str, key: str, event: Event) -> None:
        self.events.append((key, event))

    def times(self) -> list[str]:
        return [event.text("time")[11:19] for _, event in self.events]


class World:
    def __init__(self, directory: Path) -> None:
        self.store = Store(directory / "store", SystemClock())
        self.embedded = EmbeddedApi(self.store, SystemClock())
        self.api = self.embedded.in_process()
        self.informers = Informers(self.api, SystemClock())
        self.sources: Informer = self.informers.of(PING_SOURCE)
        self.clock = ManualClock()
        self.outbox = WrittenDown()
        self.ping = PingSources(self.sources, self.outbox, self.clock)  # type: ignore[arg-type]  # remembers

    async def create(self, name: str, sink_uri: str = "http://sink/", **spec: Any) -> Object:
        body = {"metadata": {"name": name}, "spec": {"sink": SINK, **spec}}
        return await self.resolve(await self.api.create(PING_SOURCE, body, "shop"), sink_uri)

    async def resolve(self, source: Object, sink_uri: str) -> Object:
        changed = {**source, "status": {"sinkUri": sink_uri}}
        return await self.seen(await self.api.replace(PING_SOURCE, changed, subresource="status"))

    async def seen(self, source: Object) -> Object:
        """Return once the informer knows this very version, and the tasks have gone as far as they can."""
        async with asyncio.timeout(WAIT_S):
            while self.version(source["metadata"]["name"]) != source["metadata"]["resourceVersion"]:
                await asyncio.sleep(0.002)
        await settle()
        return source

    def version(self, name: str) -> str:
        found = self.sources.get(name, "shop")
        return found["metadata"]["resourceVersion"] if found else ""


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.embedded.start()
    await made.informers.start()
    await made.api.create(NAMESPACE, {"metadata": {"name": "shop"}})
    made.ping.start()
    yield made
    await made.ping.stop()
    await made.informers.stop()
    await made.embedded.stop()
    made.store.close()


async def test_each_tick_is_one_event(world: World) -> None:
    await world.create("p", schedule="*/2 * * * *", data='{"n":1}', contentType="application/json")
    await world.clock.advance(301)
    assert world.outbox.times() == ["00:02:00", "00:04:00"]
    key, event = world.outbox.events[0]
    assert (key, world.outbox.opened) == ("shop/pingsource:p", ["shop/pingsource:p"])
    assert dict(event.attributes) | {"id": ""} == {
        "id": "",
        "specversion": "1.0",
        "type": "dev.knative.sources.ping",
        "source": "/apis/v1/namespaces/shop/pingsources/p",
        "time": "2026-01-01T00:02:00Z",
        "datacontenttype": "application/json",
    }
    assert event.data == b'{"n":1}'


async def test_overrides_are_attributes_and_binary_data_stays_as_it_is(world: World) -> None:
    overrides = {"extensions": {"shop": "7", "subject": "stock"}}
    await world.create("p", schedule="@hourly", dataBase64="AP8=", ceOverrides=overrides)
    await world.clock.advance(3600)
    ((_, event),) = world.outbox.events
    assert (event.text("shop"), event.text("subject"), event.data) == ("7", "stock", b"\x00\xff")


async def test_a_change_of_status_interrupts_nothing_and_a_new_schedule_holds_at_once(world: World) -> None:
    source = await world.create("p", schedule="*/10 * * * * *")
    await world.clock.advance(15)
    source = await world.resolve(source, "http://elsewhere/")
    await world.clock.advance(10)
    assert world.outbox.times() == ["00:00:10", "00:00:20"]
    source = await world.api.replace(PING_SOURCE, {**source, "spec": {**source["spec"], "schedule": "*/7 * * * * *"}})
    await world.seen(source)
    await world.clock.advance(10)
    assert world.outbox.times() == ["00:00:10", "00:00:20", "00:00:28", "00:00:35"]


async def test_a_source_without_a_sink_or_that_is_gone_sends_nothing(world: World) -> None:
    source = await world.create("p", "", schedule="* * * * *")
    await world.clock.advance(60)
    assert world.outbox.events == []
    await world.resolve(source, "http://sink/")
    await world.clock.advance(60)
    await world.api.delete(PING_SOURCE, "p", "shop")
    async with asyncio.timeout(WAIT_S):
        while world.version("p"):
            await asyncio.sleep(0.002)
    await world.clock.advance(600)
    assert world.outbox.times() == ["00:02:00"]


async def test_ticks_that_were_due_while_the_machine_slept_are_not_made_up_for(world: World) -> None:
    shifted = Shifted(world.clock)
    world.ping._clock = shifted
    await world.create("p", schedule="* * * * *")
    await world.clock.advance(61)
    shifted.shift = timedelta(hours=1)
    await world.clock.advance(120)
    assert world.outbox.times() == ["00:01:00", "00:02:00", "01:02:00", "01:03:00"]


async def test_a_clock_that_is_set_back_repeats_no_tick(world: World) -> None:
    shifted = Shifted(world.clock)
    world.ping._clock = shifted
    await world.create("p", schedule="* * * * *")
    await world.clock.advance(121)
    shifted.shift = timedelta(seconds=-90)
    await world.clock.advance(180)
    times = world.outbox.times()
    assert times == ["00:01:00", "00:02:00", "00:03:00"]
    ids = {event.id for _, event in world.outbox.events}
    assert len(ids) == len(times)


async def test_the_same_tick_has_the_same_id_whoever_sends_it(world: World) -> None:
    source = await world.create("p", schedule="* * * * *")
    await world.clock.advance(60)
    tick = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    assert world.outbox.events[0][1].id == parse_ping(source).attributes(tick)["id"]


class Shifted:
    """A clock of which the wall-clock time is set."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.shift = timedelta()
        self.monotonic = clock.monotonic
        self.sleep = clock.sleep

    def now(self) -> datetime:
        return self._clock.now() + self.shift

    def unix_s(self) -> float:
        return self.now().timestamp()
