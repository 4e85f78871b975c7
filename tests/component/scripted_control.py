"""A control plane that says exactly what a test tells it to, over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from eventmesh.xds.control.messages import Request, read_delta_request, read_sotw_request
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.encode import write_wire
from tests.waiting import WAIT_S


class ScriptedStream:
    """One stream as the server sees it."""

    def __init__(self, delta: bool, context: Any) -> None:
        self.delta = delta
        self._context = context
        self._ended = asyncio.Event()

    async def request(self) -> Request:
        """Return the client's next request."""
        async with asyncio.timeout(WAIT_S):
            data = await self._context.read()
        return (read_delta_request if self.delta else read_sotw_request)(data)

    async def requests(self, *kinds: ResourceType) -> dict[ResourceType, Request]:
        """Return the next requests, one of each of `kinds` and in whatever order."""
        found = [await self.request() for _ in kinds]
        by_kind = {kind: request for kind in kinds for request in found if request.type_url == kind.value}
        assert len(by_kind) == len(kinds), found
        return by_kind

    async def send(
        self,
        kind: ResourceType,
        nonce: str,
        resources: Mapping[str, Mapping[str, object]],
        *,
        version: str = "1",
        removed: tuple[str, ...] = (),
    ) -> None:
        """Answer with resources; those that are gone are named in delta and left out otherwise."""
        packed = {
            name: {"type_url": kind.value, "value": write_wire(kind.value.rpartition("/")[2], fields)}
            for name, fields in resources.items()
        }
        envelope: dict[str, object] = {"type_url": kind.value, "nonce": nonce}
        if self.delta:
            items = [{"name": name, "version": version, "resource": packed[name]} for name in packed]
            envelope |= {"system_version_info": version, "resources": items, "removed_resources": removed}
            data = write_wire("envoy.service.discovery.v3.DeltaDiscoveryResponse", envelope)
        else:
            envelope |= {"version_info": version, "resources": list(packed.values())}
            data = write_wire("envoy.service.discovery.v3.DiscoveryResponse", envelope)
        await self._context.write(data)

    def end(self) -> None:
        """Close the stream from the server's side."""
        self._ended.set()

    async def ended(self) -> None:
        await self._ended.wait()


class ScriptedControl:
    """The server; each stream a client opens is one `ScriptedStream`."""

    def __init__(self) -> None:
        self._streams: asyncio.Queue[ScriptedStream] = asyncio.Queue()
        self.target = ""

    async def stream(self) -> ScriptedStream:
        """Return the next stream a client opens."""
        async with asyncio.timeout(WAIT_S):
            return await self._streams.get()

    def _serve(self, delta: bool) -> Any:
        async def handle(_: object, context: Any) -> None:
            stream = ScriptedStream(delta, context)
            self._streams.put_nowait(stream)
            await stream.ended()

        return grpc.stream_stream_rpc_method_handler(handle)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedControl]:
        server = grpc.aio.server()
        handlers = {"StreamAggregatedResources": self._serve(False), "DeltaAggregatedResources": self._serve(True)}
        service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield self
        finally:
            await server.stop(None)


def cluster(name: str, **fields: object) -> dict[str, object]:
    return {"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}}, **fields}


def endpoints(name: str, *ports: int) -> dict[str, object]:
    addresses = [{"socket_address": {"address": "10.0.0.1", "port_value": port}} for port in ports]
    return {
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}],
    }


def routes(name: str, *clusters: str) -> dict[str, object]:
    def host(target: str) -> dict[str, object]:
        route = {"match": {"prefix": "/"}, "route": {"cluster": target}}
        return {"name": target, "domains": [f"{target}.test"], "routes": [route]}

    return {"name": name, "virtual_hosts": [host(target) for target in clusters]}
