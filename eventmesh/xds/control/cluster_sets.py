"""The clusters of the whole mesh and their endpoints: as most data planes see them, and as the activator does."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from eventmesh.kube.observability import TracingSettings
from eventmesh.xds.control import envoy
from eventmesh.xds.control.envoy import Protocol
from eventmesh.xds.control.gateway_api.backends import UNRESOLVED_CLUSTER
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.services import BROKER_CLUSTER, Settings
from eventmesh.xds.control.shards import Sharded
from eventmesh.xds.control.tracing import TRACING_CLUSTER, tracing_cluster
from eventmesh.xds.resource_types import ResourceType

Named = Mapping[str, Resource]


class Kind(Enum):
    """A set of resources by name."""

    CLUSTERS = "clusters"
    HOLDING = "clusters of the activator"
    """It holds requests itself, so to it no revision is asleep."""
    ENDPOINTS = "endpoints"
    PODS_ONLY = "endpoints of the activator"
    """It is no endpoint of its own."""


Built = Mapping[Kind, dict[str, Resource]]


def unresolved() -> Built:
    """Return the cluster of routes that lead nowhere, which nobody answers for."""
    cluster = {UNRESOLVED_CLUSTER: envoy.cluster(UNRESOLVED_CLUSTER, Protocol.HTTP1)}
    nobody = {UNRESOLVED_CLUSTER: envoy.endpoints(UNRESOLVED_CLUSTER, ())}
    return {Kind.CLUSTERS: cluster, Kind.HOLDING: cluster, Kind.ENDPOINTS: nobody, Kind.PODS_ONLY: nobody}


class ClusterSets:
    """What namespaces and others contribute, put together as it changes."""

    def __init__(self, settings: Settings) -> None:
        broker = {BROKER_CLUSTER: envoy.cluster(BROKER_CLUSTER, Protocol.HTTP1)}
        leads_to = {BROKER_CLUSTER: envoy.endpoints(BROKER_CLUSTER, settings.brokers)}
        first = {Kind.CLUSTERS: broker, Kind.HOLDING: broker, Kind.ENDPOINTS: leads_to, Kind.PODS_ONLY: leads_to}
        self._sets: dict[Kind, Sharded[Resource]] = {kind: Sharded(found) for kind, found in first.items()}
        self._contributed: dict[str, dict[Kind, dict[str, Resource]]] = {}
        self._moved: set[str] = set()

    def put(self, contributor: str, built: Built) -> None:
        """Put `built` in place of everything that `contributor` has put."""
        former = self._contributed.pop(contributor, {})
        for kind in Kind:
            before, after = former.get(kind, {}), built.get(kind, {})
            put = {name: one for name, one in after.items() if before.get(name) is not one}
            dropped = before.keys() - after.keys()
            self._sets[kind] = self._sets[kind].replaced(put, dropped)
            self._moved.update(put, dropped)
        if any(built.values()):
            self._contributed[contributor] = {kind: dict(named) for kind, named in built.items()}

    def move(self, contributor: str, endpoints: dict[str, Resource], pods_only: dict[str, Resource]) -> None:
        """Put endpoints of some clusters of `contributor` in place of those they had."""
        contributed = self._contributed.setdefault(contributor, {})
        for kind, moved in ((Kind.ENDPOINTS, endpoints), (Kind.PODS_ONLY, endpoints | pods_only)):
            contributed.setdefault(kind, {}).update(moved)
            self._sets[kind] = self._sets[kind].replaced(moved)
            self._moved.update(moved)

    def take_moved(self) -> frozenset[str]:
        """Return, and forget, the clusters that have changed, or whose endpoints have, since the last call."""
        moved, self._moved = frozenset(self._moved), set()
        return moved

    def trace(self, tracing: TracingSettings | None) -> None:
        """Lead spans where `tracing` says; None: nowhere."""
        for kind in (Kind.CLUSTERS, Kind.HOLDING):
            put = {TRACING_CLUSTER: tracing_cluster(tracing)} if tracing is not None else {}
            self._sets[kind] = self._sets[kind].replaced(put, {TRACING_CLUSTER} - put.keys())

    def of(self, role: Role) -> dict[ResourceType, Named]:
        """Return all clusters and all endpoints as `role` sees them."""
        is_activator = role is Role.ACTIVATOR
        return {
            ResourceType.CLUSTER: self._sets[Kind.HOLDING if is_activator else Kind.CLUSTERS],
            ResourceType.ENDPOINT: self._sets[Kind.PODS_ONLY if is_activator else Kind.ENDPOINTS],
        }

    def versions(self, cluster: str) -> set[str]:
        """Return the versions of a cluster and of its endpoints, as any role sees them."""
        return {found.version for named in self._sets.values() if (found := named.get(cluster)) is not None}
