"""Revision → PodAutoscaler."""

from __future__ import annotations

from eventmesh.autoscale.annotations import CLASS
from eventmesh.controllers.serving.names import ROUTING_STATE, deployment_name
from eventmesh.controllers.serving.resources.deployment import child_annotations, is_h2c, revision_labels
from eventmesh.controllers.serving.settings import ServingSettings
from eventmesh.kube.api import Object
from eventmesh.kube.objects import labels_of, owner_reference
from eventmesh.kube.resources import DEPLOYMENT, POD_AUTOSCALER, REVISION

_REACHABILITY = {"active": "Reachable", "reserve": "Unreachable"}
"""By routing state; a pending revision's reachability is not known."""


def pod_autoscaler(revision: Object, settings: ServingSettings) -> Object:
    """Return the PodAutoscaler of a revision."""
    metadata = revision["metadata"]
    annotations = child_annotations(revision)
    annotations.setdefault(CLASS, settings.autoscaler.autoscaler_class)
    return {
        "apiVersion": POD_AUTOSCALER.api_version,
        "kind": POD_AUTOSCALER.kind,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": revision_labels(revision),
            "annotations": annotations,
            "ownerReferences": [owner_reference(REVISION, revision)],
        },
        "spec": {
            "containerConcurrency": revision["spec"].get("containerConcurrency") or 0,
            "scaleTargetRef": {
                "apiVersion": DEPLOYMENT.api_version,
                "kind": DEPLOYMENT.kind,
                "name": deployment_name(metadata["name"]),
            },
            "reachability": _REACHABILITY.get(labels_of(revision).get(ROUTING_STATE, ""), ""),
            "protocolType": "h2c" if is_h2c(revision) else "http1",
        },
    }
