"""Route tables, joined from the encoded virtual hosts of namespaces. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration, VirtualHost

from eventmesh.kube.knative import BROKER_INGRESS, CHANNEL_DISPATCHER, JOB_SINK_INGRESS, REQUEST_REPLY_INGRESS
from eventmesh.xds.control import resources
from eventmesh.xds.control.encoding import encode, made
from eventmesh.xds.control.envoy import set_headers
from eventmesh.xds.control.ingress import fragment, local_names, plain_route
from eventmesh.xds.control.protobuf import delimited
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.services import BROKER_CLUSTER, GATEWAY_CLUSTER, Settings
from eventmesh.xds.resource_types import ResourceType

PUBLIC, SECURE, LOCAL, ACTIVATOR = "public", "secure", "local", "activator"
"""Names of route tables. `secure` holds the public hosts that are served under TLS."""

PROXIED = encode(
    made(RouteConfiguration, request_headers_to_add=set_headers({"k-proxy-request": "activator"})),
)
"""Marks what the activator has counted already, so that the sidecar's statistics do not count it twice."""


def joined(name: str, hosts: Iterable[bytes], rest: bytes = b"") -> Resource:
    """Return the route table `name` of encoded virtual hosts and whatever other encoded fields stand in `rest`."""
    head = encode(made(RouteConfiguration, name=name))
    # Clients come with and without a port in Host; it never tells hosts apart (knative/networking, conformance).
    tail = encode(made(RouteConfiguration, ignore_port_in_host_matching=True))
    return resources.from_bytes(ResourceType.ROUTE, name, b"".join([head, *hosts, rest, tail]))


def broker_hosts(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the hosts under which brokers and channels take events in, by route table."""
    domain = settings.cluster_domain
    names = (BROKER_INGRESS, CHANNEL_DISPATCHER, JOB_SINK_INGRESS, REQUEST_REPLY_INGRESS)
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


def activator_host(routes: Iterable[bytes]) -> bytes:
    """Return the encoded virtual host of the activator's own listener, of its encoded routes."""
    head = encode(made(VirtualHost, name=ACTIVATOR, domains=["*"]))
    return delimited(2, b"".join([head, *routes]))
