"""What a change costs control does not depend on how large the mesh is: counted in calls, not in time."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.watcher import Watcher
from tests.unit.xds.control.views import ingress, path, rule, service, slice_, split, within

SMALL, LARGE = 10, 200
"""Namespaces, or functions in one."""

TELLING = 120
"""Calls for one more sidecar that sees what others see. To join its part of the mesh for it alone took one for each
function, and more."""

ASKING = 6
"""Calls for one more sidecar that a change does not concern: whether its namespace is concerned is found out once."""


class Mesh:
    """Control without its sockets: an edge, an activator, sidecars of one namespace and an Envoy that asks are told."""

    def __init__(self, namespaces: int) -> None:
        self.watcher = Watcher()
        self.builder = ResourceBuilder(Settings())
        self.cache = SnapshotCache(self.builder.sets)
        for number in range(namespaces):
            self.take(f"team-{number}", "svc", "10.0.0.1")
        asking = Audience(Role.ENVOY, on_demand=True)
        for audience in (Audience(Role.GATEWAY), Audience(Role.ACTIVATOR), Audience(Role.SIDECAR, "team-1"), asking):
            self.cache.subscribe(audience, lambda configuration, changes: None)
        self.publish()

    def take(self, namespace: str, name: str, address: str) -> None:
        routed = ingress(name, rule(f"{name}.{namespace}.test", paths=[path(split(name))]))
        self.watcher.ingress(None, within(namespace, routed))
        self.watcher.service(None, within(namespace, service(name)))
        self.watcher.slice(None, within(namespace, slice_(name, address)))

    def publish(self) -> None:
        self.builder.update(self.watcher.of, self.watcher.take_changed())
        concerned = filter(self.builder.affects, self.cache.audiences())
        self.cache.update({audience: self.builder.sets(audience) for audience in concerned})

    def move(self) -> None:
        """A pod of one Service has another address."""
        self.watcher.slice(None, within("team-1", slice_("svc", "10.0.0.2")))
        self.publish()

    def add(self) -> None:
        """A function is new."""
        self.take("team-1", "another", "10.0.0.3")
        self.publish()


class Namespace(Mesh):
    """One namespace of many functions, and sidecars that differ in the labels of their pods."""

    def __init__(self, functions: int, sidecars: int = 0) -> None:
        super().__init__(2)
        for number in range(functions):
            self.take("team-1", f"svc-{number}", "10.0.0.1")
        self.publish()
        self.told = 0
        for number in range(sidecars):
            self.cache.subscribe(self.sidecar(number), self.hear)

    def sidecar(self, number: int) -> Audience:
        return Audience(Role.SIDECAR, "team-1", labels=frozenset((("app", f"svc-{number}"),)))

    def hear(self, configuration: object, changes: object) -> None:
        self.told += 1

    def move(self) -> None:
        """A pod of one Service has another address; nothing else is built again."""
        self.watcher.slice(None, within("team-1", slice_("svc", "10.0.0.2")))
        self.builder.update(self.watcher.of, self.watcher.take_touched())
        concerned = filter(self.builder.affects, self.cache.audiences())
        self.cache.update({audience: self.builder.sets(audience) for audience in concerned})

    def come(self) -> None:
        """Another sidecar connects."""
        self.cache.subscribe(self.sidecar(-1), self.hear)


def calls(of: Callable[[], None]) -> int:
    """Return how many functions `of` calls, compiled ones and steps of generators included."""
    count = 0

    def seen(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    # Whatever other tests have left to be collected is none of its calls.
    gc.collect()
    gc.disable()
    sys.setprofile(seen)
    try:
        of()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.mark.parametrize("change", [Mesh.move, Mesh.add], ids=["an endpoint", "a function"])
def test_a_change_calls_no_more_in_a_large_mesh_than_in_a_small_one(change: Callable[[Mesh], None]) -> None:
    small, large = Mesh(SMALL), Mesh(LARGE)
    change(Mesh(SMALL))  # What is made once and for all is made here.
    few, many = calls(lambda: change(small)), calls(lambda: change(large))
    assert many <= 1.2 * few, (few, many)


@pytest.mark.parametrize("change", [Namespace.move, Namespace.come], ids=["an endpoint", "a sidecar"])
def test_a_change_calls_no_more_in_a_large_namespace_than_in_a_small_one(change: Callable[[Namespace], None]) -> None:
    small, large = Namespace(SMALL, sidecars=2), Namespace(LARGE, sidecars=2)
    change(Namespace(SMALL, sidecars=2))
    few, many = calls(lambda: change(small)), calls(lambda: change(large))
    assert many <= 1.2 * few, (few, many)


def test_a_moved_endpoint_costs_each_sidecar_of_its_namespace_the_telling() -> None:
    few, many = Namespace(LARGE, sidecars=2), Namespace(LARGE, sidecars=42)
    change = calls(few.move)
    more = (calls(many.move) - change) / 40
    assert (few.told, many.told) == (2, 42)
    assert more <= TELLING, more


def test_a_moved_endpoint_costs_each_sidecar_elsewhere_a_look() -> None:
    few, many = Namespace(SMALL, sidecars=2), Namespace(SMALL, sidecars=2)
    for mesh, sidecars in ((few, 1), (many, 41)):
        for number in range(sidecars):
            labels = frozenset((("app", f"svc-{number}"),))
            mesh.cache.subscribe(Audience(Role.SIDECAR, "team-0", labels=labels), mesh.hear)
    more = (calls(many.move) - calls(few.move)) / 40
    assert more <= ASKING, more
    assert (few.told, many.told) == (2, 2)
