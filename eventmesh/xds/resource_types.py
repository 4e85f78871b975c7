"""The resource types of xDS that control serves and the order in which one stream carries them; our own client asks
for all but virtual hosts."""

from __future__ import annotations

from enum import Enum


class ResourceType(Enum):
    """A type of the xDS transport protocol; the value is its type URL."""

    # Members are single objects, so identity will do; the enum's own hash is a Python call, on the path of every push.
    __hash__ = object.__hash__

    CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    ENDPOINT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
    ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
    VIRTUAL_HOST = "type.googleapis.com/envoy.config.route.v3.VirtualHost"
    """On demand: a client asks for the one that serves a host when the first request for it comes, delta only."""
    SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type's name
    EXTENSION = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
    """The configuration of an HTTP filter that listeners name."""

    @property
    def short(self) -> str:
        """Return the word for logs and metrics: `cds`, `eds`, `lds`, `rds`, `vhds`, `sds`, `ecds`."""
        return _SHORT[self]

    @property
    def absence_deletes(self) -> bool:
        """True for the types whose state-of-the-world response must carry every resource (LDS and CDS)."""
        return self in (ResourceType.CLUSTER, ResourceType.LISTENER)


_SHORT = {
    ResourceType.CLUSTER: "cds",
    ResourceType.ENDPOINT: "eds",
    ResourceType.LISTENER: "lds",
    ResourceType.ROUTE: "rds",
    ResourceType.VIRTUAL_HOST: "vhds",
    ResourceType.SECRET: "sds",
    ResourceType.EXTENSION: "ecds",
}

PUSH_ORDER = (
    ResourceType.SECRET,
    ResourceType.CLUSTER,
    ResourceType.ENDPOINT,
    ResourceType.EXTENSION,
    ResourceType.LISTENER,
    ResourceType.ROUTE,
    ResourceType.VIRTUAL_HOST,
)
"""Make before break: what is referred to arrives before what refers to it (xds_protocol, "Eventual consistency
considerations")."""

BY_URL = {resource_type.value: resource_type for resource_type in ResourceType}
