"""Which pods are part of the mesh: every pod, unless it says no."""

from __future__ import annotations

from typing import Final

from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of

INJECT: Final = "eventmesh.io/inject"
"""Label or annotation of a pod: `"false"` runs it without a sidecar, in the host's network, at the pod's address;
`"grpc"` likewise, and its gRPC server speaks mTLS by itself (xDS credentials)."""

_GRPC: Final = "grpc"


def has_sidecar(pod: Object) -> bool:
    """Return whether a sidecar stands before the pod; `pod` may be anything with a pod's metadata and spec."""
    return _chosen(pod) not in ("false", _GRPC) and not (pod.get("spec") or {}).get("hostNetwork")


def has_identity(pod: Object) -> bool:
    """Return whether the pod, or the sidecar before it, speaks mTLS in the name of its service account."""
    return has_sidecar(pod) or _chosen(pod) == _GRPC


def _chosen(pod: Object) -> str:
    return labels_of(pod).get(INJECT) or annotations_of(pod).get(INJECT) or "true"


def account_of(pod: Object) -> str:
    """Return the service account that the pod, or what is made of its spec, runs under."""
    return (pod.get("spec") or {}).get("serviceAccountName") or "default"
