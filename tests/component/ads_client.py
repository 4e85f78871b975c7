"""A delta ADS client for tests: takes what it is sent, answers when and how the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.service.discovery.v3 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from envoy_data_plane.google.protobuf import Struct, Value
from envoy_data_plane.google.rpc import Status

from eventmesh.base.tasks import TaskGroup
from eventmesh.xds.resource_types import BY_URL, ResourceType
from tests.waiting import WAIT_S

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

CDS, EDS, LDS, RDS = ResourceType.CLUSTER, ResourceType.ENDPOINT, ResourceType.LISTENER, ResourceType.ROUTE


@dataclass
class AdsClient:
    """What one client holds, by type and name."""

    stream: Any
    tables: tuple[str, ...]
    node: Node | None
    refuse: Callable[[ResourceType, bytes], str | None] = lambda type_, body: None
    """Returns why a resource is refused, or None."""
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, responses of the types in `withheld` are taken but not answered."""
    withheld: frozenset[ResourceType] = frozenset(ResourceType)
    held: dict[ResourceType, dict[str, bytes]] = field(default_factory=lambda: {t: {} for t in ResourceType})
    pushes: list[tuple[ResourceType, list[str]]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    filters: tuple[str, ...] = ()
    """Those that it asks for by name."""

    async def ask(self, type_: ResourceType, *names: str) -> None:
        await self._send(DeltaDiscoveryRequest(type_url=type_.value, resource_names_subscribe=list(names)))

    async def run(self) -> None:
        for type_, names in ((CDS, ()), (LDS, ()), (RDS, self.tables), (ResourceType.EXTENSION, self.filters)):
            if names or type_ is not ResourceType.EXTENSION:
                await self.ask(type_, *names)
        while True:
            data = await self.stream.read()
            if data is grpc.aio.EOF:
                return
            await self._take(DeltaDiscoveryResponse.parse(data))

    async def _take(self, response: DeltaDiscoveryResponse) -> None:
        type_ = BY_URL[response.type_url]
        bodies = {r.name: r.resource.value for r in response.resources if r.resource is not None}
        self.pushes.append((type_, sorted(bodies)))
        self.changed.set()
        if type_ in self.withheld:
            await self.answering.wait()
        why = next((why for body in bodies.values() if (why := self.refuse(type_, body))), None)
        answer = DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
        if why is not None:
            answer.error_detail = Status(code=3, message=why)
        else:
            new = bodies.keys() - self.held[type_].keys()
            self.held[type_].update(bodies)
            for name in response.removed_resources:
                self.held[type_].pop(name, None)
            if type_ is CDS and new:
                await self.ask(EDS, *sorted(new))
        await self._send(answer)
        self.changed.set()

    async def _send(self, request: DeltaDiscoveryRequest) -> None:
        request.node, self.node = self.node, None
        await self.stream.write(bytes(request))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as `holds`, looking at every change."""
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def connected(
    port: int, role: str, *tables: str, answering: bool = True, namespace: str = "", filters: tuple[str, ...] = ()
) -> AsyncIterator[AdsClient]:
    """Connect to control as `role` (of `namespace`), subscribe to everything, and by name to the route tables `tables`
    and to `filters`."""
    tasks = TaskGroup("test.ads")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream: Any = channel.stream_stream(METHOD)()
        said = {"role": role, "namespace": namespace}
        fields = {name: Value(string_value=value) for name, value in said.items() if value}
        node = Node(id=f"{role}-1", metadata=Struct(fields=fields))
        client = AdsClient(stream, tables, node, filters=filters)
        if answering:
            client.answering.set()
        tasks.spawn("client", client.run())
        try:
            yield client
        finally:
            await tasks.stop()
            stream.cancel()
