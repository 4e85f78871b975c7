"""Listeners for gRPC servers without a proxy (`grpc.xds_server_credentials`): TLS, and whom policies let in.

A server asks by the address at which it listens, which nobody knows before. Source: gRFC A36 (xDS-enabled servers), A29
(certificates by provider instances), A41 (RBAC).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from ipaddress import ip_address
from typing import Final
from weakref import WeakValueDictionary

from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    NonForwardingAction,
    Route,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManager

from eventmesh.kube.api import Object
from eventmesh.xds.control import resources, securing
from eventmesh.xds.control.access.emitting import encoded
from eventmesh.xds.control.answering import Answering
from eventmesh.xds.control.encoding import encode, made
from eventmesh.xds.control.envoy import pack, router, socket_address
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.resource_types import ResourceType

SERVER: Final = "grpc/server?xds.resource.listening_address="
"""What a listener's name begins with; the rest is the server's address. Istio's servers say `xds.istio.io/grpc/...`."""

MAX_SERVERS: Final = 64
"""Of one process, by the addresses at which they listen. Each is told anew whenever a policy changes."""


class GrpcListeners(Answering):
    """What gRPC clients and servers of one namespace and with the same labels are told of listeners: those of channels
    by host, which can be listed, and that of a server by its address."""

    __slots__ = ("_chains", "_known", "channels", "filters", "is_secured")

    def __init__(
        self, channels: Mapping[str, Resource], filters: list[Object] | None, *, is_secured: bool = False
    ) -> None:
        """`filters`, as documents, stand before the calls of servers, None: there shall be no server; `is_secured`
        servers speak mTLS."""
        self.channels = channels
        self.filters = filters
        self.is_secured = is_secured
        self._known: WeakValueDictionary[str, Resource] = WeakValueDictionary()
        self._chains = b""
        """What all servers have in common, encoded; empty until one asks."""

    def __getitem__(self, name: str) -> Resource:
        if not name.startswith(SERVER):
            return self.channels[name]
        if self.filters is None:
            raise KeyError(name)
        known = self._known.get(name)
        if known is None:
            # Raises KeyError when the name has no address.
            where = made(Listener, name=name, address=socket_address(*_address(name)))
            self._chains = self._chains or encode(made(Listener, filter_chains=[_chain(self.filters, self.is_secured)]))
            body = encode(where) + self._chains
            known = self._known[name] = resources.from_bytes(ResourceType.LISTENER, name, body)
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(self.channels)

    def __len__(self) -> int:
        return len(self.channels)

    def secured(self) -> GrpcListeners:
        """Return the same with servers that speak mTLS."""
        return GrpcListeners(self.channels, self.filters, is_secured=True)

    def without_servers(self) -> GrpcListeners:
        """Return those of channels alone."""
        return GrpcListeners(self.channels, None)

    def differing(self, before: GrpcListeners) -> frozenset[str]:
        """Return the hosts of channels that differ; `SERVER` when servers are told something else."""
        servers = {SERVER} if (self.filters, self.is_secured) != (before.filters, before.is_secured) else set()
        if self.channels is before.channels:
            return frozenset(servers)
        hosts = self.channels.keys() | before.channels.keys()
        return frozenset(servers.union(h for h in hosts if self.channels.get(h) != before.channels.get(h)))

    def touched(self, names: Set[str], keys: Set[str]) -> frozenset[str]:
        """Return those of `names` that differ when `keys` do."""
        return frozenset(name for name in names if name in keys or (SERVER in keys and name.startswith(SERVER)))


def is_server(name: str) -> bool:
    """Tell whether `name` is that of a server's listener."""
    return name.startswith(SERVER)


def _chain(filters: list[Object], is_secured: bool) -> FilterChain:
    # Which method is called is for the server to know: it refuses only what no route leads to.
    route = made(Route, match=made(RouteMatch, prefix="/"), non_forwarding_action=made(NonForwardingAction))
    hosts = [made(VirtualHost, name="server", domains=["*"], routes=[route])]
    manager = made(
        HttpConnectionManager,
        stat_prefix="server",
        route_config=made(RouteConfiguration, name="server", virtual_hosts=hosts),
        http_filters=[*map(encoded, filters), router()],
    )
    return made(
        FilterChain,
        filters=[made(Filter, name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))],
        transport_socket=securing.provided_server_socket() if is_secured else None,
    )


def _address(name: str) -> tuple[str, int]:
    """Return the IP address and the port in a server's name; raises KeyError when these are not there."""
    host, _, port = name.removeprefix(SERVER).rpartition(":")
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise KeyError(name) from None
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        raise KeyError(name)
    return host.removeprefix("[").removesuffix("]"), int(port)
