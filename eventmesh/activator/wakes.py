"""Waking the revisions behind an address before anything is sent there: those that have no endpoint now."""

from __future__ import annotations

from collections.abc import Callable

from eventmesh.activator.demand import demand
from eventmesh.model.snapshot import Snapshot

MIN_SHARE = 0.5
"""Least share of a split that a revision is woken for: a smaller one would rather not get the event."""


def asleep_behind(uri: str, snapshot: Snapshot) -> list[str]:
    """Return the clusters that an event to `uri` would probably have to wake; none for what is not of the mesh."""
    wanted = {name for name, share in demand([(uri, 1)], snapshot).items() if share >= MIN_SHARE}
    return [
        cluster.name
        for cluster in snapshot.clusters
        if cluster.name in wanted and cluster.hold and not cluster.endpoints
    ]


def waker(snapshot: Callable[[], Snapshot], poke: Callable[[str], None]) -> Callable[[str], bool]:
    """Return what pokes the autoscaler for all that sleeps behind an address, and tells whether anything did."""

    def wake(uri: str) -> bool:
        found = asleep_behind(uri, snapshot())
        for cluster in found:
            poke(cluster)
        return bool(found)

    return wake
