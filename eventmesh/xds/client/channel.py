"""The way to the control plane: a route of this process to the static cluster that the bootstrap names.

The stream is an exchange like any other, so the cluster's TLS, its endpoints, its keep-alive and its counters are those
of every cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from eventmesh.transport.exchange import Caller
from eventmesh.transport.grpc_call import GrpcCall
from eventmesh.xds.bootstrap import AdsConfig
from eventmesh.xds.schema.wire import MAX_MESSAGE_BYTES

TABLE = "eventmesh.ads"
"""Of this process alone. A control plane has no reason to send a table of this name, and would cut itself off."""


class Call(Protocol):
    """A stream of messages to the control plane and back."""

    async def send(self, message: bytes) -> None:
        """Send one; what is sent after the end is lost."""

    async def receive(self) -> bytes | None:
        """Return the next one; None when the server ended the stream. Raises MeshError when it broke off."""

    def cancel(self) -> None:
        """Give the stream up."""


OpenCall = Callable[[str], Call]
"""Begins to call a method (`/package.Service/Method`)."""


def route_to_control(config: AdsConfig) -> Snapshot:
    """Return the route table that leads to the control plane, for a process to add to its own configuration."""
    return way(TABLE, config.cluster)


def way(table: str, cluster: str) -> Snapshot:
    """Return a route table that leads to one cluster, whatever is asked for and however long it takes."""
    everything = Route(RouteMatch("/"), Forward((WeightedCluster(cluster),), timeout_s=0), name=table)
    return Snapshot(version="", route_tables=(RouteTable(table, (VirtualHost(table, ("*",), (everything,)),)),))


def calls_through(caller: Caller, config: AdsConfig) -> OpenCall:
    """Return how streams are opened through `caller`, whose process has `route_to_control` in force."""

    def open_call(method: str) -> Call:
        return GrpcCall.open(
            caller, TABLE, config.authority, method, config.metadata, max_message_bytes=MAX_MESSAGE_BYTES
        )

    return open_call
