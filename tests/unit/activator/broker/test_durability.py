"""What a Broker's conditions tell of the store: where events are, what is not promised, who asked for another one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.activator.broker.durability import KIND, Durability
from eventmesh.activator.broker.store.shares import Alone
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.store.store import Store
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informers
from eventmesh.kube.knative import BROKER_CLASS, CLASS_ANNOTATION
from eventmesh.kube.objects import Key
from eventmesh.kube.resources import BROKER, CONFIG_MAP, NAMESPACE

HERE = "nats://here:4222"
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "name": "store"}


class Nobody(Alone):
    """The shares of a process that does no housekeeping."""

    def mine(self, share: str) -> bool:
        return False


class World:
    """An API with the broker `shop`, whose own controller has had its turn."""

    def __init__(self, directory: Path) -> None:
        self._store = Store(directory / "api.db", SystemClock())
        self.embedded = EmbeddedApi(self._store, SystemClock())
        self.api: Api = self.embedded.in_process()
        self.events = SqliteStore(directory / "events.db", SystemClock())

    async def told(self, doubts: Sequence[str] = (), *, address: str = "", **spec: Any) -> Object | None:
        """Return the condition of a Broker with that spec."""
        meta = {"name": "shop", "namespace": "demo", "annotations": {CLASS_ANNOTATION: BROKER_CLASS}}
        made = await self.api.create(BROKER, {"metadata": meta, "spec": spec}, "demo")
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        status = {"observedGeneration": made["metadata"]["generation"], "conditions": [ready]}
        await self.api.replace(BROKER, {**made, "status": status}, subresource="status")
        self.events.doubts = doubts
        informers = Informers(self.api, SystemClock())
        durability = Durability(self.api, informers.of(BROKER), self.events, address, SystemClock())
        await informers.start()
        await durability.reconcile(Key("demo", "shop"))
        await informers.stop()
        conditions = (await self.api.get(BROKER, "shop", "demo"))["status"]["conditions"]
        assert ready in conditions, "those of others stay"
        found = [condition for condition in conditions if condition["type"] == KIND]
        assert all(condition["severity"] == "Info" for condition in found), "it decides no readiness"
        return found[0] if found else None

    async def name_store(self, address: str) -> None:
        meta = {"name": "store", "namespace": "demo"}
        await self.api.create(CONFIG_MAP, {"metadata": meta, "data": {"store": address}}, "demo")

    async def close(self) -> None:
        await self.events.close()
        await self.embedded.stop()
        self._store.close()


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.embedded.start()
    await made.api.create(NAMESPACE, {"metadata": {"name": "demo"}})
    yield made
    await made.close()


async def test_a_broker_tells_where_its_events_are(world: World) -> None:
    told = await world.told()
    assert told is not None
    assert (told["status"], told["message"]) == ("True", "events are kept in SQLite, synced by the activator")


async def test_what_is_not_promised_is_told(world: World) -> None:
    told = await world.told(["it may be lost"])
    assert told is not None
    assert (told["status"], told["reason"]) == ("Unknown", "NotAllPromised")
    assert told["message"].endswith(": it may be lost")


async def test_a_broker_that_counts_on_another_store_is_told_without_a_word_of_its_secret(world: World) -> None:
    await world.name_store("nats://me:hush@there:4222")
    told = await world.told(address=HERE, config=CONFIG)
    assert told is not None
    assert (told["status"], told["reason"]) == ("False", "AnotherStore")
    assert "hush" not in told["message"]


async def test_the_store_that_was_named_is_the_one(world: World) -> None:
    await world.name_store(f"{HERE}\n")
    told = await world.told(address=HERE, config=CONFIG)
    assert told is not None
    assert told["status"] == "True"


@pytest.mark.parametrize("config", [{**CONFIG, "name": "absent"}, {"kind": "Secret", "name": "store"}])
async def test_a_config_that_names_no_store_asks_for_none(world: World, config: Object) -> None:
    told = await world.told(config=config)
    assert told is not None
    assert told["status"] == "True"


async def test_one_of_those_who_share_a_store_tells(world: World) -> None:
    world.events.shares = Nobody()
    assert await world.told() is None
