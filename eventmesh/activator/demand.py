"""What the events that wait in the store ask of the functions they are for: load that no request shows yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from eventmesh.activator.subscribers import LOCAL
from eventmesh.kube.knative import is_mesh_host
from eventmesh.model.route import Forward, VirtualHost
from eventmesh.model.snapshot import Snapshot


def demand(waiting: Iterable[tuple[str, int]], snapshot: Snapshot) -> Mapping[str, float]:
    """Return the requests that clusters would have at once if events did not wait.

    `waiting` are addresses of subscribers, each with the number of events that wait for it. A split gets its
    shares; subscribers outside the mesh, or without a route, are left out.
    """
    wanted: dict[str, int] = {}
    for uri, count in waiting:
        host = urlsplit(uri).hostname or ""
        if count and is_mesh_host(host):
            wanted[host] = wanted.get(host, 0) + count
    found: dict[str, float] = {}
    for table in snapshot.route_tables if wanted else ():
        if table.name != LOCAL:
            continue
        for virtual in table.virtual_hosts:
            events = sum(wanted.get(domain, 0) for domain in virtual.domains)
            for cluster, share in _shares(virtual) if events else ():
                found[cluster] = found.get(cluster, 0.0) + events * share
    return found


def _shares(host: VirtualHost) -> list[tuple[str, float]]:
    """Return the clusters of the last route, which takes what no condition singles out, with their shares."""
    action = host.routes[-1].action if host.routes else None
    if not isinstance(action, Forward):
        return []
    total = sum(cluster.weight for cluster in action.clusters)
    return [(cluster.name, cluster.weight / total) for cluster in action.clusters] if total else []
