"""The metrics API (`metrics.k8s.io`): what `kubectl top` and the horizontal pod autoscaler read."""

from __future__ import annotations

from collections.abc import Callable

from eventmesh.cluster.api.catalog import Served
from eventmesh.kube.api import Object
from eventmesh.kube.resources import NODE_METRICS, POD_METRICS

_VERBS = ("get", "list")


def metrics_kinds(pods: Callable[[], list[Object]], nodes: Callable[[], list[Object]]) -> tuple[Served, Served]:
    """Return the two kinds; `pods` and `nodes` make their objects at each reading."""
    return (
        Served(POD_METRICS, "pod", verbs=_VERBS, has_generation=False, computed=pods),
        Served(NODE_METRICS, "node", verbs=_VERBS, has_generation=False, computed=nodes),
    )
