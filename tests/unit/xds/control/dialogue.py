"""A client that talks to a `Stream` in virtual time: requests in, pushes out."""

from __future__ import annotations

from collections.abc import Iterable

from eventmesh.xds.control import resources
from eventmesh.xds.control.messages import Node, Request
from eventmesh.xds.control.resources import Configuration, Resource
from eventmesh.xds.control.snapshot_cache import differences
from eventmesh.xds.control.streams import Stream
from eventmesh.xds.control.subscriptions import Push, Refusal, Variant
from eventmesh.xds.resource_types import ResourceType

CDS, EDS, LDS, RDS = (
    ResourceType.CLUSTER,
    ResourceType.ENDPOINT,
    ResourceType.LISTENER,
    ResourceType.ROUTE,
)


def resource(type_: ResourceType, name: str, content: str = "1") -> Resource:
    return resources.from_bytes(type_, name, content.encode())


def service(name: str, content: str = "1") -> list[Resource]:
    return [resource(CDS, name, content), resource(EDS, name)]


class Client:
    """One stream with its configuration and its time."""

    def __init__(self, variant: Variant, *published: Resource, role: str = "gateway") -> None:
        self.now = 0.0
        self.generation = 0
        self.stream = Stream(variant, Configuration(), Node("n", metadata={"role": role}))
        self.publish(*published)

    def publish(self, *published: Resource) -> int:
        self.generation += 1
        before = self.stream.configuration
        after = Configuration(self.generation, resources.index(published))
        changes = {type_: differences(before.of(type_), after.of(type_)) for type_ in ResourceType}
        self.stream.configure(after, changes)
        return self.generation

    def request(self, type_: ResourceType, *names: str, nonce: str = "", error: str | None = None) -> Refusal | None:
        """State of the world: list every name wanted."""
        return self.stream.receive(Request(type_.value, None, nonce, error, names=names), self.now)

    def subscribe(
        self,
        type_: ResourceType,
        *names: str,
        drop: Iterable[str] = (),
        nonce: str = "",
        initial: dict[str, str] | None = None,
    ) -> None:
        """Delta: add and drop names."""
        self.stream.receive(
            Request(type_.value, None, nonce, subscribe=names, unsubscribe=tuple(drop), initial_versions=initial or {}),
            self.now,
        )

    def pushes(self) -> list[Push]:
        return self.stream.pushes(self.now)

    def push(self) -> Push:
        """Return the one push that is due."""
        (only,) = self.pushes()
        return only

    def ack(self, push: Push) -> None:
        names = tuple(self.stream.subscription(push.type).names) if self.stream.variant is Variant.SOTW else ()
        self.stream.receive(Request(push.type.value, None, push.nonce, names=names), self.now)

    def nack(self, push: Push, error: str) -> Refusal:
        names = tuple(self.stream.subscription(push.type).names) if self.stream.variant is Variant.SOTW else ()
        refusal = self.stream.receive(Request(push.type.value, None, push.nonce, error, names=names), self.now)
        assert refusal is not None
        return refusal

    def settle(self) -> list[Push]:
        """Acknowledge until nothing more comes; return all pushes."""
        out = []
        while new := self.pushes():
            out += new
            for push in new:
                self.ack(push)
        return out


def names(push: Push) -> list[str]:
    return [r.name for r in push.resources]
