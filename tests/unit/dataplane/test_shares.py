"""Limits of all workers together, divided."""

from __future__ import annotations

from eventmesh.dataplane.shares import share_of
from eventmesh.model.cluster import Cluster
from eventmesh.model.snapshot import Snapshot


def test_limits_are_divided_none_below_one_and_no_limit_stays_none() -> None:
    cluster = Cluster(
        "up", max_connections=10, max_requests=0, max_requests_per_endpoint=1, max_pending=7, max_retries=3
    )
    (part,) = share_of(Snapshot("1", clusters=(cluster,)), 4).clusters
    limits = (
        part.max_connections,
        part.max_requests,
        part.max_requests_per_endpoint,
        part.max_pending,
        part.max_retries,
        part.max_held_bytes,
    )
    assert limits == (3, 0, 1, 2, 1, 16_777_216 // 4)
