"""Which data planes beside workloads cannot do what is said of these, and are not told. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from eventmesh.kube.objects import Key
from eventmesh.xds.control.access.values import PythonFilter, selects
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.scope import audience_of
from eventmesh.xds.control.status import Connection
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE

MAX_NAMED = 3
"""Data planes named in one message: who has more of them knows why."""


def running_no_python(
    filters: Iterable[PythonFilter], told_by_name: Iterable[Connection]
) -> dict[Key, tuple[str, str]]:
    """Return (reason, message) for each filter that selects a workload whose proxy cannot run it: an Envoy, which is
    told of access by filters by name and lets requests on to the workload without this one. `told_by_name` are all
    connections that ask for filters so."""
    found: dict[Key, tuple[str, str]] = {}
    filters = list(filters)
    if not filters:
        return found
    envoys = [
        (one.stream.node.id or one.peer, audience_of(one.stream.node))
        for one in told_by_name
        if one.stream.node.role is Role.SIDECAR
    ]
    for one in filters:
        nodes = [
            node
            for node, audience in envoys
            if one.key.namespace in (SYSTEM_NAMESPACE, audience.namespace)
            and selects(one.selector, dict(audience.labels))
        ]
        if nodes:
            more = f" and {len(nodes) - MAX_NAMED} more" if len(nodes) > MAX_NAMED else ""
            named = ", ".join(sorted(nodes)[:MAX_NAMED])
            said = "an Envoy runs no filters in Python, and lets requests on without it; sidecars of the mesh ask it"
            found[one.key] = "UnsupportedDataPlane", f"{named}{more}: {said}"
    return found
