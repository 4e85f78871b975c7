"""PodAutoscaler → ServerlessService → the Kubernetes Services of a revision. Pure."""

from __future__ import annotations

import math

from eventmesh.autoscale.annotations import METRIC, TARGET, WINDOW, read, value_of
from eventmesh.autoscale.decider import ServiceMode
from eventmesh.autoscale.spec import ScaleSpec
from eventmesh.controllers.serving.names import NETWORKING_INTERNAL, REVISION_UID, SERVICE_TYPE, child_name
from eventmesh.controllers.serving.resources.sidecar import (
    AUTOSCALING_METRICS_PORT,
    HTTP1_PORT,
    HTTP2_PORT,
    USER_METRICS_PORT,
)
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.objects import annotations_of, labels_of, owner_reference
from eventmesh.kube.resources import HORIZONTAL_POD_AUTOSCALER, POD_AUTOSCALER, SERVERLESS_SERVICE, SERVICE

UNBOUNDED = 2**31 - 1
"""The most pods of a revision without max-scale: the largest number that the API takes."""

SERVERLESS_SERVICE_LABEL = f"{NETWORKING_INTERNAL}/serverlessservice"


def serverless_service(autoscaler: Object, mode: ServiceMode, activators: int) -> Object:
    """Return the ServerlessService of a revision: where its endpoints point."""
    spec = autoscaler["spec"]
    child = _child(SERVERLESS_SERVICE, POD_AUTOSCALER, autoscaler, autoscaler["metadata"]["name"], {})
    child["spec"] = {
        "mode": mode.value,
        "objectRef": spec["scaleTargetRef"],
        "protocolType": spec.get("protocolType") or "http1",
        "numActivators": activators,
    }
    return child


def horizontal_pod_autoscaler(autoscaler: Object, spec: ScaleSpec) -> Object:
    """Return the HorizontalPodAutoscaler of a revision of class hpa (pkg/reconciler/autoscaling/hpa/resources)."""
    child = _child(HORIZONTAL_POD_AUTOSCALER, POD_AUTOSCALER, autoscaler, autoscaler["metadata"]["name"], {})
    annotations = annotations_of(autoscaler)
    low, high = spec.bounds(initialized=True)
    child["spec"] = {
        "scaleTargetRef": autoscaler["spec"]["scaleTargetRef"],
        "minReplicas": max(1, low),
        "maxReplicas": high or UNBOUNDED,
    }
    target = read(annotations, TARGET, float, 0.0)
    if target:
        child["spec"]["metrics"] = [_metric(annotations.get(METRIC) or "cpu", target)]
    if value_of(annotations, WINDOW) is not None:
        rules = {"stabilizationWindowSeconds": int(spec.stable_window_s)}
        child["spec"]["behavior"] = {"scaleUp": rules, "scaleDown": dict(rules)}
    return child


def _metric(name: str, target: float) -> Object:
    """Return cpu as per cent of the request, memory in MiB, anything else as a metric of the pods' own."""
    if name == "cpu":
        goal: Object = {"type": "Utilization", "averageUtilization": math.ceil(target)}
        return {"type": "Resource", "resource": {"name": name, "target": goal}}
    if name == "memory":
        goal = {"type": "AverageValue", "averageValue": f"{int(target)}Mi"}
        return {"type": "Resource", "resource": {"name": name, "target": goal}}
    goal = {"type": "AverageValue", "averageValue": str(math.ceil(target))}
    return {"type": "Pods", "pods": {"metric": {"name": name}, "target": goal}}


def private_service(serverless: Object) -> Object:
    """Return the Service that selects the revision's pods: who is ready, and where they tell their load."""
    name = child_name(serverless["metadata"]["name"], "-private")
    child = _child(SERVICE, SERVERLESS_SERVICE, serverless, name, _labels(serverless, "Private"))
    child["spec"] = {
        "type": "ClusterIP",
        "selector": {REVISION_UID: labels_of(serverless).get(REVISION_UID, "")},
        "ports": [
            _request_port(serverless, 80),
            _port("http-autometric", AUTOSCALING_METRICS_PORT, AUTOSCALING_METRICS_PORT),
            _port("http-usermetric", USER_METRICS_PORT, USER_METRICS_PORT),
        ],
    }
    return child


def public_service(serverless: Object) -> Object:
    """Return the Service that the revision is reached by: without a selector, its endpoints are the mesh's business."""
    name = serverless["metadata"]["name"]
    child = _child(SERVICE, SERVERLESS_SERVICE, serverless, name, _labels(serverless, "Public"))
    child["spec"] = {"type": "ClusterIP", "ports": [_request_port(serverless, 81 if _is_h2c(serverless) else 80)]}
    return child


def _child(resource: Resource, owner_resource: Resource, owner: Object, name: str, labels: dict[str, str]) -> Object:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": {**labels_of(owner), **labels},
            "annotations": dict(annotations_of(owner)),
            "ownerReferences": [owner_reference(owner_resource, owner)],
        },
    }


def _labels(serverless: Object, kind: str) -> dict[str, str]:
    return {SERVICE_TYPE: kind, SERVERLESS_SERVICE_LABEL: serverless["metadata"]["name"]}


def _is_h2c(serverless: Object) -> bool:
    return (serverless.get("spec") or {}).get("protocolType") == "h2c"


def _request_port(serverless: Object, number: int) -> Object:
    if _is_h2c(serverless):
        return {**_port("http2", number, HTTP2_PORT), "appProtocol": "kubernetes.io/h2c"}
    return _port("http", number, HTTP1_PORT)


def _port(name: str, number: int, target: int) -> Object:
    return {"name": name, "port": number, "targetPort": target, "protocol": "TCP"}
