"""Which pods of a revision are this activator's, where several serve it: two that count the slots of one pod apart
would send it twice what it may have.

After knative/serving pkg/activator/net/throttler.go: activators are numbered by their addresses, pods are dealt out by
theirs. A revision without a containerConcurrency has no slots to count, and every activator sends to all of its pods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.knative import SERVING_NAMESPACE
from eventmesh.kube.resources import ENDPOINT_SLICE
from eventmesh.model.cluster import Cluster
from eventmesh.model.snapshot import Snapshot

SERVICE: Final = "activator-service"
"""Knative's name of the Service that leads to the activators, in `knative-serving`."""

V = TypeVar("V")


@frozen
class Place:
    """Which of how many activators one is."""

    index: int = 0
    count: int = 1

    def of(self, pods: Sequence[V]) -> Sequence[V]:
        """Return the part of `pods`, which are in an order that all activators know, that is this one's.

        Each has as many as the others; of those left over the first activators have one more each. With fewer pods than
        activators some share a pod: its sidecar keeps waiting what is too much.
        """
        if self.count <= 1 or len(pods) <= 1:
            return pods
        if self.count > len(pods):
            return (pods[self.index % len(pods)],)
        each = len(pods) // self.count
        left_over = pods[each * self.count :]
        return (*pods[each * self.index : each * (self.index + 1)], *left_over[self.index : self.index + 1])

    def narrowed(self, snapshot: Snapshot) -> Snapshot:
        """Return `snapshot` with the pods of others taken out of revisions that have slots to count."""
        if self.count <= 1:
            return snapshot
        return replace(snapshot, clusters=tuple(self._narrowed(cluster) for cluster in snapshot.clusters))

    def _narrowed(self, cluster: Cluster) -> Cluster:
        if not (cluster.hold and cluster.max_requests_per_endpoint):
            return cluster
        mine = self.of(sorted(cluster.endpoints, key=lambda endpoint: endpoint.address))
        return replace(cluster, endpoints=tuple(mine))


ALONE: Final = Place()


class Activators:
    """The activators of a cluster, as its API knows them, and the place of this one among them."""

    def __init__(self, api: Api, clock: Clock, own_address: str, changed: Callable[[], None]) -> None:
        """`own_address` is that of this pod; `changed` is called when `place` is another one."""
        selector = f"kubernetes.io/service-name={SERVICE}"
        self.informer = Informer(api, ENDPOINT_SLICE, clock, namespace=SERVING_NAMESPACE, label_selector=selector)
        self.informer.add_handler(self._moved)
        self._own = own_address
        self._changed = changed
        self.place = ALONE
        """While this one is not among those that are ready, as if there were no other: what is sent here meanwhile has
        to go somewhere."""

    def _moved(self, _old: Object | None, _new: Object | None) -> None:
        place = place_among(self.informer, self._own)
        if place != self.place:
            self.place = place
            self._changed()


def place_among(slices: Iterable[Object], own: str) -> Place:
    """Return the place of the address `own` among those that are ready in the EndpointSlices of the activators."""
    # Where the Service has two families of addresses each activator is told of twice, and must be counted once.
    family = "IPv6" if ":" in own else "IPv4"
    ready = sorted({address for piece in slices if piece["addressType"] == family for address in _ready(piece)})
    return Place(ready.index(own), len(ready)) if own in ready else ALONE


def _ready(piece: Object) -> list[str]:
    """Return the addresses of an EndpointSlice that are ready; a condition that is not told counts as met."""
    ready = [one for one in piece.get("endpoints") or () if (one.get("conditions") or {}).get("ready") is not False]
    return [address for one in ready for address in one.get("addresses") or ()]
