"""Two controls over one API, in virtual time: a promise counts the gateways at both."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest_asyncio

from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import Object
from eventmesh.kube.informer import Informers
from eventmesh.kube.lease import Election
from eventmesh.kube.resources import KINGRESS, LEASE
from eventmesh.kube.status import condition, is_ready
from eventmesh.xds.control.app import Control
from eventmesh.xds.control.messages import Node
from eventmesh.xds.control.replicas.own import LABELS, MIN_PAUSE_S, RENEWALS, lease_name
from eventmesh.xds.control.replicas.word import ANNOTATION, Word
from eventmesh.xds.control.resources import Configuration
from eventmesh.xds.control.streams import Stream
from eventmesh.xds.control.subscriptions import Refusal, Variant
from eventmesh.xds.resource_types import ResourceType
from tests.component.control_bench import Bench
from tests.manual_clock import ManualClock

SYSTEM = "eventmesh-system"
LEASE_S = 15
LATER_S = 2.0
"""More than anything takes but a lease that runs out."""


EVERY = 10**9
"""Every publication concerns a gateway."""


class Gateway(Stream):
    """A gateway that acknowledges what it is told to, and nothing else."""

    def __init__(self, name: str) -> None:
        super().__init__(Variant.DELTA, Configuration(EVERY), Node(name, metadata={"role": "gateway"}))
        self.has = -1

    def acknowledged(self, routes: frozenset[str]) -> int:
        return self.has


class Replica:
    """One control, with the gateways that are connected to it."""

    def __init__(self, bench: Bench, clock: ManualClock, name: str) -> None:
        self.name = name
        self.informers = Informers(bench.api, clock)
        self.election = Election(bench.api, clock, "eventmesh-control", SYSTEM, name, draw=lambda: 0.0)
        self.control = Control(bench.api, self.informers, clock, election=self.election)
        self.running = False

    async def start(self) -> None:
        self.running = True
        await self.informers.start()
        await self.control.start("127.0.0.1:0")

    async def stop(self) -> None:
        if self.running:
            self.running = False
            await self.control.stop()
            await self.informers.stop()

    def join(self, name: str) -> Gateway:
        gateway = Gateway(name)
        self.control.acks.joined(gateway, "peer")
        return gateway

    def acknowledge(self, gateway: Gateway) -> None:
        """Have a gateway acknowledge what this replica has published last."""
        gateway.has = self.control.observer.status()["generation"]
        self.control.acks.progressed(gateway)


class World:
    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.bench = Bench(directory, self.clock)
        self.first, self.second = (Replica(self.bench, self.clock, name) for name in ("one", "two"))

    async def start(self) -> None:
        await self.bench.embedded.start()
        await self.first.start()
        await self.clock.advance(LATER_S)
        assert self.first.election.leading
        self.bench.informers = self.first.informers
        await self.second.start()
        await self.clock.advance(LATER_S)

    async def ingress(self) -> Object:
        return await self.bench.api.get(KINGRESS, "a", "default")

    async def word(self, replica: Replica) -> Word:
        lease = await self.bench.api.get(LEASE, lease_name(replica.name), SYSTEM)
        return Word.from_json(lease["metadata"]["annotations"][ANNOTATION])

    async def leases(self) -> set[str]:
        found = await self.bench.api.list(LEASE, SYSTEM)
        return {lease["metadata"]["name"] for lease in found.items} - {"eventmesh-control"}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.start()
    yield world
    await world.second.stop()
    await world.first.stop()
    await world.bench.embedded.stop()
    world.bench.store.close()


async def test_a_gateway_at_another_replica_is_waited_for_and_named(world: World) -> None:
    gateway = world.second.join("gw-2")
    await world.clock.advance(LATER_S)
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(LEASE_S)
    found = condition(await world.ingress(), "LoadBalancerReady")
    assert found is not None and found["status"] == "Unknown"
    assert "gw-2 at two" in found["message"]

    world.second.acknowledge(gateway)
    await world.clock.advance(MIN_PAUSE_S)
    assert is_ready(await world.ingress())


async def test_replicas_without_gateways_hold_nobody_up(world: World) -> None:
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(0.1)
    assert is_ready(await world.ingress())


async def test_the_gateways_of_all_replicas_must_have_it(world: World) -> None:
    own, other = world.first.join("gw-1"), world.second.join("gw-2")
    await world.clock.advance(LATER_S)
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(LATER_S)
    world.second.acknowledge(other)
    await world.clock.advance(LATER_S)
    assert not is_ready(await world.ingress())
    world.first.acknowledge(own)
    await world.clock.advance(0.1)
    assert is_ready(await world.ingress())


async def test_an_acknowledgement_of_an_older_form_is_none_of_the_newer(world: World) -> None:
    gateway = world.second.join("gw-2")
    await world.clock.advance(LATER_S)
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(LATER_S)
    world.second.acknowledge(gateway)
    await world.clock.advance(LATER_S)
    assert is_ready(await world.ingress())
    await world.bench.ingress("b", "b.test", "svc")
    await world.clock.advance(LATER_S)
    assert not is_ready(await world.bench.api.get(KINGRESS, "b", "default"))
    assert is_ready(await world.ingress()), "what was promised stays promised"


async def test_who_wins_a_host_by_a_deletion_is_ready_when_gateways_elsewhere_know_of_it(world: World) -> None:
    gateway = world.second.join("gw-2")
    for name in ("older", "younger"):
        await world.clock.advance(LATER_S)
        await world.bench.ingress(name, "a.test", "svc")
        await world.clock.advance(LATER_S)
        world.second.acknowledge(gateway)
    await world.clock.advance(LATER_S)
    assert is_ready(await world.bench.api.get(KINGRESS, "older", "default"))
    await world.bench.api.delete(KINGRESS, "older", "default")
    await world.clock.advance(LATER_S)
    found = condition(await world.bench.api.get(KINGRESS, "younger", "default"), "LoadBalancerReady")
    assert found is not None and found.get("reason") == "AwaitingAcknowledgement"
    world.second.acknowledge(gateway)
    await world.clock.advance(MIN_PAUSE_S)
    assert is_ready(await world.bench.api.get(KINGRESS, "younger", "default"))


async def test_a_gateway_that_leaves_is_no_longer_waited_for(world: World) -> None:
    gateway = world.second.join("gw-2")
    await world.clock.advance(LATER_S)
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(LATER_S)
    assert not is_ready(await world.ingress())
    world.second.control.acks.left(gateway)
    await world.clock.advance(MIN_PAUSE_S)
    assert is_ready(await world.ingress())


async def test_the_word_of_a_dead_replica_expires_and_its_lease_is_taken_away(world: World) -> None:
    dead = {
        "metadata": {
            "name": lease_name("dead"),
            "namespace": SYSTEM,
            "labels": LABELS,
            "annotations": {ANNOTATION: Word(1).to_json()},
        },
        "spec": {"holderIdentity": "dead", "leaseDurationSeconds": LEASE_S},
    }
    await world.bench.api.create(LEASE, dead, SYSTEM)
    await world.clock.advance(0.1)
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(LEASE_S - 1)
    found = condition(await world.ingress(), "LoadBalancerReady")
    assert found is not None and "data planes of dead" in found["message"]
    await world.clock.advance(1)
    assert is_ready(await world.ingress())
    assert lease_name("dead") not in await world.leases()


async def test_a_replica_that_ends_takes_its_word_away(world: World) -> None:
    world.second.join("gw-2")
    await world.clock.advance(LATER_S)
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(LATER_S)
    assert not is_ready(await world.ingress())
    await world.second.stop()
    await world.clock.advance(0.1)
    assert is_ready(await world.ingress())
    assert await world.leases() == {lease_name("one")}


async def test_whoever_leads_next_knows_what_was_acknowledged_before(world: World) -> None:
    own, other = world.first.join("gw-1"), world.second.join("gw-2")
    await world.clock.advance(LATER_S)
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(LATER_S)
    for replica, gateway in ((world.first, own), (world.second, other)):
        replica.acknowledge(gateway)
    await world.clock.advance(LATER_S)
    assert is_ready(await world.ingress())
    await world.first.stop()
    await world.clock.advance(2 * LATER_S)
    assert world.second.election.leading
    await world.bench.ingress("b", "b.test", "svc")
    await world.clock.advance(LATER_S)
    assert not is_ready(await world.bench.api.get(KINGRESS, "b", "default"))
    world.second.acknowledge(other)
    await world.clock.advance(MIN_PAUSE_S)
    assert is_ready(await world.bench.api.get(KINGRESS, "b", "default"))


async def test_a_refusal_at_another_replica_is_told_on_the_object_and_ends_with_its_form(world: World) -> None:
    gateway = world.second.join("gw-2")
    await world.clock.advance(LATER_S)
    await world.bench.ingress("a", "a.test", "svc")
    await world.bench.ingress("b", "b.test", "svc")
    await world.clock.advance(LATER_S)
    generation = world.second.control.observer.status()["generation"]
    world.second.control.acks.refused(
        gateway, Refusal(ResourceType.ROUTE, generation, ("public",), "a.test is not to my taste")
    )
    await world.clock.advance(LATER_S)
    world.second.acknowledge(gateway)  # What is published without it.
    await world.clock.advance(LATER_S)
    found = condition(await world.ingress(), "NetworkConfigured")
    assert found is not None and found["reason"] == "ConfigurationRefused"
    assert found["message"] == "gw-2: a.test is not to my taste"
    assert is_ready(await world.bench.api.get(KINGRESS, "b", "default")), "siblings go on"

    stored = copy.deepcopy(await world.ingress())
    stored["spec"]["rules"][0]["hosts"] = ["c.test"]
    await world.bench.api.replace(KINGRESS, stored)
    await world.clock.advance(LATER_S)
    world.second.acknowledge(gateway)
    await world.clock.advance(LATER_S)
    assert is_ready(await world.ingress())


async def test_a_refusal_ends_with_the_replica_that_spoke_it(world: World) -> None:
    gateway = world.second.join("gw-2")
    await world.clock.advance(LATER_S)
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(LATER_S)
    generation = world.second.control.observer.status()["generation"]
    world.second.control.acks.refused(gateway, Refusal(ResourceType.ROUTE, generation, ("public",), "a.test: no"))
    await world.clock.advance(LATER_S)
    world.second.acknowledge(gateway)
    await world.clock.advance(LATER_S)
    assert not is_ready(await world.ingress())
    await world.second.stop()
    await world.clock.advance(LATER_S)
    assert is_ready(await world.ingress())


async def _writes(world: World, replica: Replica, during: Callable[[], Awaitable[None]]) -> int:
    """Return how often a replica has written its Lease."""
    seen = set()
    tasks = TaskGroup("test")

    async def count() -> None:
        async for event in world.bench.api.watch(LEASE, SYSTEM):
            if event.object["metadata"].get("name") == lease_name(replica.name):
                seen.add(event.object["metadata"]["resourceVersion"])

    tasks.spawn("count", count())
    await during()
    await world.clock.advance(0)
    await tasks.stop()
    return len(seen)


async def test_a_quiet_replica_writes_three_times_in_the_duration_of_a_lease(world: World) -> None:
    async def quiet() -> None:
        await world.clock.advance(4 * LEASE_S)

    assert await _writes(world, world.second, quiet) <= 4 * RENEWALS + 1


async def test_endless_change_is_told_five_times_a_second_at_most(world: World) -> None:
    gateway = world.second.join("gw-2")
    await world.bench.revision("rev")
    await world.clock.advance(LATER_S)

    async def endless() -> None:
        for number in range(100):
            await world.bench.pods("rev", f"10.0.0.{number + 1}")
            await world.clock.advance(0.02)
            world.second.acknowledge(gateway)
        await world.clock.advance(MIN_PAUSE_S)

    assert 2 <= await _writes(world, world.second, endless) <= 2 * 5 + 3


async def test_whoever_leads_writes_renewals_only(world: World) -> None:
    gateway = world.first.join("gw-1")

    async def changes() -> None:
        for name in "abcdef":
            await world.bench.ingress(name, f"{name}.test", "svc")
            await world.clock.advance(0.5)
            world.first.acknowledge(gateway)

    assert await _writes(world, world.first, changes) <= 2


async def test_a_word_that_cannot_be_read_is_taken_for_one_that_holds_up(world: World) -> None:
    lease = await world.bench.api.get(LEASE, lease_name("two"), SYSTEM)
    await world.second.stop()
    lease["metadata"] = {**lease["metadata"], "annotations": {ANNOTATION: json.dumps({"clients": []})}}
    for given in ("resourceVersion", "uid"):
        lease["metadata"].pop(given)
    await world.bench.api.create(LEASE, lease, SYSTEM)
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(LATER_S)
    found = condition(await world.ingress(), "LoadBalancerReady")
    assert found is not None and "data planes of two" in found["message"]
    await world.clock.advance(LEASE_S)
    assert is_ready(await world.ingress())


async def test_a_lease_that_somebody_deleted_is_written_again(world: World) -> None:
    await world.bench.api.delete(LEASE, lease_name("two"), SYSTEM)
    world.second.join("gw-2")
    await world.clock.advance(LEASE_S)
    assert (await world.word(world.second)).clients == 1


def test_names_of_leases_are_names_of_objects() -> None:
    assert lease_name("Host.Example_0a1b") == "eventmesh-control-host-example-0a1b"
