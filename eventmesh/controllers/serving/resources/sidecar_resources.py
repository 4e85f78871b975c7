"""What a sidecar asks of its machine (Serving, pkg/reconciler/revision/resources/queue.go)."""

from __future__ import annotations

from eventmesh.controllers.serving.names import QUEUE_SIDECAR
from eventmesh.controllers.serving.settings import ServingSettings
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of
from eventmesh.kube.quantity import parse_quantity

PERCENTAGES = (f"{QUEUE_SIDECAR}/resource-percentage", f"{QUEUE_SIDECAR}/resourcePercentage")
"""Annotations: the sidecar's share of what the function asks for; the first spelling wins."""
_BOUNDS = (
    ("requests", "cpu", "25m", "100m"),
    ("limits", "cpu", "40m", "500m"),
    ("requests", "memory", "50Mi", "200Mi"),
    ("limits", "memory", "200Mi", "500Mi"),
)
"""No share is smaller or larger: a sidecar below cannot work, one above has no use for it."""


def sidecar_resources(revision: Object, function: Object, settings: ServingSettings) -> Object:
    """Return what the sidecar of a revision asks for: by config-deployment, as a share of `function`'s, or by itself.

    `function` is the container that requests go to. What says more about the one revision wins.
    """
    resources: Object = {bound: dict(found) for bound, found in settings.deployment.sidecar_resources.items() if found}
    annotations = annotations_of(revision)
    percentage = next((annotations[key] for key in PERCENTAGES if key in annotations), None)
    if percentage is not None:
        for bound, kind, low, high in _BOUNDS:
            asked = ((function.get("resources") or {}).get(bound) or {}).get(kind)
            share = _share(asked, percentage, low, high)
            if share is not None:
                resources.setdefault(bound, {})[kind] = share
    for kind in ("cpu", "memory", "ephemeral-storage"):
        for bound in ("request", "limit"):
            quantity = annotations.get(f"{QUEUE_SIDECAR}/{kind}-resource-{bound}")
            if quantity is not None:
                resources.setdefault(f"{bound}s", {})[kind] = quantity
    return resources


def _share(asked: object, percentage: str, low: str, high: str) -> str | None:
    try:
        share = parse_quantity(asked) * parse_quantity(percentage) / 100
    except ValueError:
        return None  # The function asks for nothing, or admission was gone round.
    if share <= parse_quantity(low):
        return low
    return high if share >= parse_quantity(high) else f"{int(share * 1000)}m"
