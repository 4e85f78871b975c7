"""Route tables, joined from the encoded virtual hosts of namespaces. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration, VirtualHost

from eventmesh.kube.knative import (
    BROKER_INGRESS,
    CHANNEL_DISPATCHER,
    JOB_SINK_INGRESS,
    KAFKA_SINK_INGRESS,
    REQUEST_REPLY_INGRESS,
)
from eventmesh.xds.control import resources
from eventmesh.xds.control.encoding import encode, made
from eventmesh.xds.control.envoy import set_headers
from eventmesh.xds.control.ingress import fragment, local_names, plain_route
from eventmesh.xds.control.protobuf import BYTES, tag, varint
from eventmesh.xds.control.resources import Part, Resource, part
from eventmesh.xds.control.services import BROKER_CLUSTER, GATEWAY_CLUSTER, Settings
from eventmesh.xds.resource_types import ResourceType

PUBLIC, SECURE, LOCAL, ACTIVATOR = "public", "secure", "local", "activator"
"""Names of route tables. `secure` holds the public hosts that are served under TLS."""

LOCAL_PROXIED = "local, proxied"
"""The table `local` as the activator sees it: what it sends itself is marked as proxied."""

PROXIED = encode(
    made(RouteConfiguration, request_headers_to_add=set_headers({"k-proxy-request": "activator"})),
)
"""Marks what the activator has counted already, so that the sidecar's statistics do not count it twice."""

_TAIL = encode(made(RouteConfiguration, ignore_port_in_host_matching=True))
"""Clients come with and without a port in Host; it never tells hosts apart (knative/networking, conformance)."""


def joined(name: str, hosts: Iterable[bytes], rest: bytes = b"") -> Resource:
    """Return the route table `name` of encoded virtual hosts and whatever other encoded fields stand in `rest`."""
    head = encode(made(RouteConfiguration, name=name))
    return resources.from_bytes(ResourceType.ROUTE, name, b"".join([head, *hosts, rest, _TAIL]))


_GROUPS: Final = 64
"""Of contributors to a table. A change copies and hashes one group anew: of 500 namespaces that is eight."""

_NOTHING: Final = part(b"")


class Contributions:
    """What namespaces and others put into one route table of the whole mesh, joined as far as it is as before."""

    def __init__(self) -> None:
        self._of: tuple[dict[str, Part], ...] = tuple({} for _ in range(_GROUPS))
        self._groups = [_NOTHING] * _GROUPS

    def put(self, contributor: str, fields: bytes) -> bool:
        """Put encoded fields in place of what `contributor` has put; return whether they differ."""
        # Not Python's own hash: replicas must agree on the order, which is part of the version.
        number = zlib.crc32(contributor.encode()) % _GROUPS
        group, after = self._of[number], part(fields)
        if group.get(contributor, _NOTHING) == after:
            return False
        if fields:
            group[contributor] = after
        else:
            del group[contributor]
        found = [group[name] for name in sorted(group)]
        self._groups[number] = resources.together(found)
        return True

    def table(self, name: str, rest: bytes = b"") -> Resource:
        """Return the route table `name` of all virtual hosts, and whatever other encoded fields stand in `rest`."""
        head = part(encode(made(RouteConfiguration, name=name)))
        return resources.from_parts(ResourceType.ROUTE, name, [head, *self._groups, part(rest + _TAIL)])

    def activator_table(self) -> Resource:
        """Return the table of the activator's own listener, of all routes; they stand in one virtual host."""
        head = encode(made(VirtualHost, name=ACTIVATOR, domains=["*"]))
        size = varint(len(head) + sum(len(one.fields) for one in self._groups))
        begun = encode(made(RouteConfiguration, name=ACTIVATOR)) + tag(2, BYTES) + size + head
        parts = [part(begun), *self._groups, part(PROXIED + _TAIL)]
        return resources.from_parts(ResourceType.ROUTE, ACTIVATOR, parts)


class MeshTables:
    """The route tables of the whole mesh. What has been put is in them after the next `join`."""

    def __init__(self, settings: Settings) -> None:
        self._contributions = {table: Contributions() for table in (PUBLIC, SECURE, LOCAL, ACTIVATOR)}
        self._broker = {table: broker_host(hosts) for table, hosts in broker_hosts(settings).items()}
        for table, host in self._broker.items():
            self.put(table, BROKER_CLUSTER, host)
        self._joined: dict[str, Resource] = {}
        self.join(self._contributions)

    def put(self, table: str, contributor: str, hosts: bytes) -> bool:
        """Put encoded virtual hosts (into `activator`: routes) in place of what `contributor` has put there; return
        whether they differ."""
        return self._contributions[table].put(contributor, hosts)

    def join(self, tables: Iterable[str]) -> None:
        """Join those of `tables` anew, of parts: a change costs the bytes of its namespace."""
        for table in tables:
            put = self._contributions[table]
            self._joined[table] = put.activator_table() if table == ACTIVATOR else put.table(table)
            if table == LOCAL:
                self._joined[LOCAL_PROXIED] = put.table(table, PROXIED)

    def of(self, name: str) -> Resource:
        """Return the table `name`; there is one of each name that this module knows."""
        return self._joined[name]

    def find(self, name: str) -> Resource | None:
        """Return the table `name`, if it is of the whole mesh."""
        return self._joined.get(name)

    def broker(self, table: str) -> bytes:
        """Return the encoded virtual host of the brokers' ingress in a table; empty where they have none."""
        return self._broker.get(table, b"")


def broker_hosts(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the hosts under which brokers and channels take events in, by route table."""
    domain = settings.cluster_domain
    names = (BROKER_INGRESS, CHANNEL_DISPATCHER, JOB_SINK_INGRESS, KAFKA_SINK_INGRESS, REQUEST_REPLY_INGRESS)
    outside = tuple(f"{name}.{settings.domain}" for name in names)
    inside = tuple(host for name in names for host in local_names(f"{name}.svc.{domain}", domain))
    return {PUBLIC: outside, LOCAL: (*inside, *outside)}


def broker_host(hosts: Iterable[str]) -> bytes:
    """Return the encoded virtual host of the brokers' ingress."""
    return fragment(
        made(VirtualHost, name=BROKER_CLUSTER, domains=list(hosts), routes=[plain_route(BROKER_CLUSTER)])
    ).field


def beyond_scope() -> bytes:
    """Return the encoded virtual host that leads whatever a sidecar does not know to the gateway."""
    return fragment(made(VirtualHost, name="beyond", domains=["*"], routes=[plain_route(GATEWAY_CLUSTER)])).field
