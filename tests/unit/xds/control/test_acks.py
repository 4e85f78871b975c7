"""Ready is promised when gateways and activators have acknowledged; sidecars hold nobody up for long."""

from __future__ import annotations

from eventmesh.xds.control.acks import RECONNECT_WAIT_S, SIDECAR_WAIT_S, AckTracker
from eventmesh.xds.control.messages import Node
from eventmesh.xds.control.resources import Configuration
from eventmesh.xds.control.streams import Stream
from eventmesh.xds.control.subscriptions import Refusal, Variant
from eventmesh.xds.resource_types import ResourceType
from tests.manual_clock import ManualClock
from tests.unit.xds.control.dialogue import CDS, LDS, RDS, Client, resource


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.tracker = AckTracker(self.clock, lambda role: frozenset())
        self.told = 0
        self.tracker.listen(self._tell, lambda nack: None)

    def _tell(self) -> None:
        self.told += 1

    def join(self, role: str, name: str) -> Client:
        """Connect a client that has acknowledged generation 1."""
        client = Client(Variant.DELTA, resource(CDS, "c"), resource(LDS, "l"), resource(RDS, "r"))
        client.stream.node = Node(name, metadata={"role": role})
        self.tracker.joined(client.stream, "peer")
        for type_, names in ((CDS, ()), (LDS, ()), (RDS, ("r",))):
            client.subscribe(type_, *names)
        client.settle()
        self.tracker.progressed(client.stream)
        return client


def publish(client: Client, generation: int = 2) -> None:
    """Publish a generation that the client has not acknowledged."""
    assert client.publish(resource(CDS, "c", str(generation)), resource(LDS, "l"), resource(RDS, "r")) == generation


def test_who_asks_for_filters_by_name_is_known_without_looking_at_everybody() -> None:
    world = World()
    world.join("sidecar", "ours")
    envoy = world.join("sidecar", "envoy")
    assert world.tracker.told_by_name() == []
    envoy.subscribe(ResourceType.EXTENSION, "jwt")
    world.tracker.progressed(envoy.stream)
    assert [one.stream for one in world.tracker.told_by_name()] == [envoy.stream]
    world.tracker.left(envoy.stream)
    world.tracker.progressed(envoy.stream)
    assert world.tracker.told_by_name() == []


def test_without_clients_everything_is_ready() -> None:
    assert World().tracker.of(5, 0.0).ready


def test_every_gateway_and_activator_is_waited_for() -> None:
    world = World()
    gateway, activator = world.join("gateway", "gw"), world.join("activator", "act")
    for client in (gateway, activator):
        publish(client)
    assert world.tracker.of(2, 0.0).waiting == ("act", "gw")
    gateway.settle()
    world.tracker.progressed(gateway.stream)
    assert world.tracker.of(2, 0.0).waiting == ("act",)
    activator.settle()
    world.tracker.progressed(activator.stream)
    assert world.tracker.of(2, 0.0).ready


async def test_a_sidecar_is_waited_for_a_while_and_then_named() -> None:
    world = World()
    publish(world.join("sidecar", "pod-1"))
    early = world.tracker.of(2, world.clock.monotonic())
    assert (early.ready, early.lagging) == (False, ("pod-1",))
    await world.clock.advance(SIDECAR_WAIT_S)
    late = world.tracker.of(2, 0.0)
    assert (late.ready, late.lagging) == (True, ("pod-1",))


async def test_a_sidecar_that_has_been_silent_for_long_does_not_hold_up_the_next_change() -> None:
    world = World()
    sidecar = world.join("sidecar", "pod-1")
    publish(sidecar)
    assert not world.tracker.of(2, world.clock.monotonic()).ready
    await world.clock.advance(SIDECAR_WAIT_S)
    publish(sidecar, 3)
    later = world.tracker.of(3, world.clock.monotonic())
    assert (later.ready, later.lagging) == (True, ("pod-1",))
    sidecar.settle()
    world.tracker.progressed(sidecar.stream)
    publish(sidecar, 4)
    assert not world.tracker.of(4, world.clock.monotonic()).ready


def test_a_client_that_leaves_is_no_longer_waited_for_and_that_is_told() -> None:
    world = World()
    gateway = world.join("gateway", "gw")
    told = world.told
    world.tracker.left(gateway.stream)
    assert world.told == told + 1
    assert world.tracker.of(2, 0.0).ready


def test_a_refusal_is_told_with_the_name_of_who_is_waited_for() -> None:
    world = World()
    gateway = world.join("gateway", "gw")
    publish(gateway)
    world.tracker.refused(gateway.stream, Refusal(RDS, 2, ("r",), "no such header"))
    assert world.tracker.of(2, 0.0).waiting == ("gw (refused: no such header)",)


def test_nothing_is_proven_while_nobody_could_refuse_it() -> None:
    world = World()
    assert not world.tracker.proves(1)
    world.join("sidecar", "pod")
    assert not world.tracker.proves(1)
    gateway = world.join("gateway", "gw")
    assert world.tracker.proves(1)
    publish(gateway)
    assert not world.tracker.proves(2)


def test_a_publication_that_changes_nothing_for_a_client_is_not_waited_for() -> None:
    world = World()
    gateway = world.join("gateway", "gw")
    assert world.tracker.of(7, 0.0).ready and world.tracker.proves(7)
    publish(gateway)
    assert not world.tracker.of(7, 0.0).ready


def test_grpc_clients_are_never_waited_for() -> None:
    world = World()
    stream = Stream(Variant.SOTW, Configuration(), Node("app", user_agent="gRPC Python"))
    world.tracker.joined(stream, "peer")
    assert world.tracker.of(1, 0.0).ready


async def test_after_a_start_data_planes_are_given_time_to_come_back() -> None:
    world = World()
    world.tracker.opened()
    early = world.tracker.of(1, 0.0)
    assert (early.ready, early.again_after_s) == (False, RECONNECT_WAIT_S)
    await world.clock.advance(RECONNECT_WAIT_S)
    assert world.tracker.of(1, 0.0).ready


def test_one_that_has_come_back_is_waited_for_by_name() -> None:
    world = World()
    world.tracker.opened()
    gateway = world.join("gateway", "gw")
    assert world.tracker.of(1, 0.0).ready
    publish(gateway)
    assert world.tracker.of(2, 0.0).waiting == ("gw",)
