"""Service → Configuration and Route."""

from __future__ import annotations

import copy

from eventmesh.controllers.serving.names import LAST_APPLIED, ROLLOUT_DURATION, SERVICE, SERVICE_UID
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of, owner_reference
from eventmesh.kube.resources import CONFIGURATION, KSERVICE, ROUTE


def configuration(service: Object) -> Object:
    """Return the Configuration that a Service owns; its name is the Service's."""
    child = _child(service, CONFIGURATION.api_version, CONFIGURATION.kind)
    # How traffic moves is the Route's business.
    child["metadata"]["annotations"].pop(ROLLOUT_DURATION, None)
    child["spec"] = {"template": copy.deepcopy(service["spec"]["template"])}
    return child


def route(service: Object) -> Object:
    """Return the Route that a Service owns: its targets that follow the newest revision name the Configuration."""
    child = _child(service, ROUTE.api_version, ROUTE.kind)
    name = service["metadata"]["name"]
    targets = [dict(target) for target in service["spec"].get("traffic") or []]
    for target in targets:
        if not target.get("revisionName"):
            target["configurationName"] = name
    child["spec"] = {"traffic": targets}
    return child


def _child(service: Object, api_version: str, kind: str) -> Object:
    metadata = service["metadata"]
    annotations = {key: value for key, value in annotations_of(service).items() if key != LAST_APPLIED}
    labels = {**labels_of(service), SERVICE: metadata["name"], SERVICE_UID: metadata["uid"]}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(KSERVICE, service)],
        },
    }
