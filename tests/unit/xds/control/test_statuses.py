"""What is written about objects while data planes answer, lag or stay away: in virtual time, over the embedded API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from eventmesh.kube.api import Object
from eventmesh.kube.resources import KINGRESS, SERVERLESS_SERVICE
from eventmesh.kube.status import condition, is_ready
from eventmesh.xds.control.acks import SIDECAR_WAIT_S
from eventmesh.xds.control.ingress_status import LAGGING, QUIET_WAIT_S, RETURN_WAIT_S
from eventmesh.xds.control.messages import Node
from eventmesh.xds.control.resources import Configuration
from eventmesh.xds.control.streams import Stream
from eventmesh.xds.control.subscriptions import Variant
from tests.component.control_bench import Bench
from tests.manual_clock import ManualClock

MARGIN_S = 0.1
"""More than the pause between two publications, which shifts when a wait begins."""


class World:
    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.bench = Bench(directory, self.clock)

    def join(self, role: str, name: str) -> Stream:
        """Connect a client that acknowledges nothing."""
        stream = Stream(Variant.DELTA, Configuration(), Node(name, metadata={"role": role}))
        self.bench.control.acks.joined(stream, "peer")
        return stream

    async def touched(self) -> None:
        """Have the ingress looked at again, without a change of what its author wants."""
        await self.bench.api.patch(KINGRESS, "a", {"metadata": {"labels": {"touched": "yes"}}}, "default")

    def ingress(self) -> Object:
        return self.bench.stored(KINGRESS, "a")


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.bench.start()
    yield world
    await world.bench.stop()


async def test_a_gateway_that_does_not_answer_is_named_after_a_moment(world: World) -> None:
    world.join("gateway", "gw-1")
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(QUIET_WAIT_S / 2)
    assert "status" not in world.ingress()
    await world.clock.advance(QUIET_WAIT_S / 2 + MARGIN_S)
    found = condition(world.ingress(), "LoadBalancerReady")
    assert found is not None
    assert (found["status"], found["reason"]) == ("Unknown", "AwaitingAcknowledgement")
    assert "gw-1" in found["message"]


async def test_what_was_ready_stays_so_while_data_planes_come_back_to_a_control_that_was_started_anew(
    world: World,
) -> None:
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(60.0)
    before = world.ingress()["status"]
    assert is_ready(world.ingress())
    world.bench.control.acks.opened()
    stream = world.join("gateway", "gw-1")
    await world.touched()
    await world.clock.advance(RETURN_WAIT_S - MARGIN_S)
    assert world.ingress()["status"] == before
    world.bench.control.acks.left(stream)
    world.join("gateway", "gw-2")
    await world.clock.advance(2 * MARGIN_S)
    found = condition(world.ingress(), "LoadBalancerReady")
    assert found is not None
    assert (found["status"], found["reason"]) == ("Unknown", "AwaitingAcknowledgement")
    assert "gw-2" in found["message"]


async def test_what_was_ready_is_told_after_a_moment_when_control_has_been_there_for_long(world: World) -> None:
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(60.0)
    world.join("gateway", "gw-1")
    await world.touched()
    await world.clock.advance(QUIET_WAIT_S + MARGIN_S)
    assert not is_ready(world.ingress())


async def test_a_gateway_is_waited_for_however_long_and_its_leaving_ends_the_wait(world: World) -> None:
    stream = world.join("gateway", "gw-1")
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(60.0)
    assert not is_ready(world.ingress())
    world.bench.control.acks.left(stream)
    await world.clock.advance(0.0)
    assert is_ready(world.ingress())


async def test_a_sidecar_holds_readiness_up_for_five_seconds_and_is_then_named(world: World) -> None:
    world.join("sidecar", "pod-1")
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(SIDECAR_WAIT_S - MARGIN_S)
    assert not is_ready(world.ingress())
    await world.clock.advance(2 * MARGIN_S)
    assert is_ready(world.ingress())
    lagging = condition(world.ingress(), LAGGING)
    assert lagging is not None
    assert (lagging["status"], lagging["severity"]) == ("True", "Info")
    assert "pod-1" in lagging["message"]


async def test_a_sidecar_that_catches_up_is_named_no_longer(world: World) -> None:
    stream = world.join("sidecar", "pod-1")
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(SIDECAR_WAIT_S + MARGIN_S)
    assert condition(world.ingress(), LAGGING) is not None
    world.bench.control.acks.left(stream)
    await world.clock.advance(0.1)
    assert condition(world.ingress(), LAGGING) is None


async def test_a_revision_goes_to_sleep_even_if_a_sidecar_does_not_answer(world: World) -> None:
    world.join("sidecar", "pod-1")
    await world.bench.revision("rev")
    await world.clock.advance(SIDECAR_WAIT_S - MARGIN_S)
    assert not is_ready(world.bench.stored(SERVERLESS_SERVICE, "rev"))
    await world.clock.advance(2 * MARGIN_S)
    assert is_ready(world.bench.stored(SERVERLESS_SERVICE, "rev"))


async def test_an_ingress_that_is_gone_is_forgotten(world: World) -> None:
    world.join("gateway", "gw-1")
    await world.bench.ingress("a", "a.test", "svc")
    await world.clock.advance(0.1)
    await world.bench.api.delete(KINGRESS, "a", "default")
    await world.clock.advance(QUIET_WAIT_S * 2)
    assert world.bench.control.open_promises() == 0
