"""Which pods are part of the mesh: every pod, unless it says no."""

from __future__ import annotations

from typing import Final

from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of

INJECT: Final = "eventmesh.io/inject"
"""Label or annotation of a pod: `"false"` runs it without a sidecar, in the host's network, at the pod's address."""


def has_sidecar(pod: Object) -> bool:
    """Return whether a sidecar stands before the pod; `pod` may be anything with a pod's metadata and spec."""
    chosen = labels_of(pod).get(INJECT) or annotations_of(pod).get(INJECT) or "true"
    return chosen != "false" and not (pod.get("spec") or {}).get("hostNetwork")


def account_of(pod: Object) -> str:
    """Return the service account that the pod, or what is made of its spec, runs under."""
    return (pod.get("spec") or {}).get("serviceAccountName") or "default"
