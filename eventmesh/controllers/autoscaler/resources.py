"""PodAutoscaler → ServerlessService: where a revision's endpoints point. Pure.

What becomes of a ServerlessService, its Services and its status, is control's.
"""

from __future__ import annotations

from eventmesh.autoscale.decider import ServiceMode
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of, owner_reference
from eventmesh.kube.resources import POD_AUTOSCALER, SERVERLESS_SERVICE


def serverless_service(autoscaler: Object, mode: ServiceMode, activators: int) -> Object:
    """Return the ServerlessService of a revision."""
    metadata, spec = autoscaler["metadata"], autoscaler["spec"]
    return {
        "apiVersion": SERVERLESS_SERVICE.api_version,
        "kind": SERVERLESS_SERVICE.kind,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": dict(labels_of(autoscaler)),
            "annotations": dict(annotations_of(autoscaler)),
            "ownerReferences": [owner_reference(POD_AUTOSCALER, autoscaler)],
        },
        "spec": {
            "mode": mode.value,
            "objectRef": spec["scaleTargetRef"],
            "protocolType": spec.get("protocolType") or "http1",
            "numActivators": activators,
        },
    }
