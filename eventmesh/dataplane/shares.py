"""What one worker of several may use of limits that are meant for all of them."""

from __future__ import annotations

import dataclasses

from eventmesh.model.cluster import Cluster
from eventmesh.model.snapshot import Snapshot


def share_of(snapshot: Snapshot, workers: int) -> Snapshot:
    """Return the snapshot with the limits of every cluster divided by the number of workers, none below 1.

    Together they hold what one process would have held alone; a worker with more than its part of the connections
    reaches its own limit earlier. Rate limits are not divided: workers share their buckets.
    """
    return dataclasses.replace(snapshot, clusters=tuple(_share(cluster, workers) for cluster in snapshot.clusters))


def _share(cluster: Cluster, workers: int) -> Cluster:
    def part(limit: int) -> int:
        return -(-limit // workers)  # 0, which is no limit, stays 0

    return dataclasses.replace(
        cluster,
        max_connections=part(cluster.max_connections),
        max_requests=part(cluster.max_requests),
        max_requests_per_endpoint=part(cluster.max_requests_per_endpoint),
        max_pending=part(cluster.max_pending),
        max_held_bytes=part(cluster.max_held_bytes),
        max_retries=part(cluster.max_retries),
    )
