"""The container `queue-proxy` of a revision's pods: our sidecar under Knative's contract.

Variables and ports are those of Serving, pkg/reconciler/revision/resources/queue.go.
"""

from __future__ import annotations

import json
from typing import Any

from eventmesh.controllers.serving.names import CONFIGURATION, SERVICE
from eventmesh.controllers.serving.resources.sidecar_resources import sidecar_resources
from eventmesh.controllers.serving.settings import SYSTEM_NAMESPACE, ServingSettings
from eventmesh.kube.api import Object
from eventmesh.kube.objects import labels_of

NAME = "queue-proxy"
HTTP1_PORT = 8012
HTTP2_PORT = 8013
TLS_PORT = 8112
ADMIN_PORT = 8022
AUTOSCALING_METRICS_PORT = 9090
USER_METRICS_PORT = 9091


def sidecar(revision: Object, user_port: int, *, h2c: bool, settings: ServingSettings) -> Object:
    """Return the sidecar's container."""
    serving_port = HTTP2_PORT if h2c else HTTP1_PORT
    return {
        "name": NAME,
        "image": settings.deployment.sidecar_image or settings.local.sidecar_image,
        "env": _environment(revision, user_port, serving_port),
        "ports": [
            _port("http-queueadm", ADMIN_PORT),
            _port("http-autometric", AUTOSCALING_METRICS_PORT),
            _port("http-usermetric", USER_METRICS_PORT),
            _port("queue-port", serving_port),
        ],
        "readinessProbe": {
            "httpGet": {
                "port": serving_port,
                "httpHeaders": [{"name": "K-Network-Probe", "value": "queue"}],
            }
        },
        "resources": sidecar_resources(revision, serving_container(revision["spec"]), settings),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def readiness_probe(container: Object, user_port: int) -> Object | None:
    """Return the probe that the sidecar makes for the user's container; None when Kubernetes makes it (exec)."""
    probe: Object | None = container.get("readinessProbe")
    if probe is None or "exec" in probe:
        return None
    probe = dict(probe)
    for handler in ("httpGet", "tcpSocket", "grpc"):
        if handler in probe:
            target = {**(probe[handler] or {})}
            # The author names no port, or the name of his port: both mean where the function listens.
            if not isinstance(target.get("port"), int) or target["port"] == 0:
                target["port"] = user_port
            if handler != "grpc":
                target["host"] = "127.0.0.1"
            probe[handler] = target
    return probe


def _environment(revision: Object, user_port: int, serving_port: int) -> list[Object]:
    metadata, spec, labels = revision["metadata"], revision["spec"], labels_of(revision)
    serving = serving_container(spec)
    probe = readiness_probe(serving, user_port)
    env = [
        _variable("SERVING_NAMESPACE", metadata["namespace"]),
        _variable("SERVING_SERVICE", labels.get(SERVICE, "")),
        _variable("SERVING_CONFIGURATION", labels.get(CONFIGURATION, "")),
        _variable("SERVING_REVISION", metadata["name"]),
        _variable("QUEUE_SERVING_PORT", serving_port),
        _variable("QUEUE_SERVING_TLS_PORT", TLS_PORT),
        _variable("CONTAINER_CONCURRENCY", spec.get("containerConcurrency") or 0),
        _variable("REVISION_TIMEOUT_SECONDS", spec.get("timeoutSeconds") or 0),
        _variable("REVISION_RESPONSE_START_TIMEOUT_SECONDS", spec.get("responseStartTimeoutSeconds") or 0),
        _variable("REVISION_IDLE_TIMEOUT_SECONDS", spec.get("idleTimeoutSeconds") or 0),
        {"name": "SERVING_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "SERVING_POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
        _variable("USER_PORT", user_port),
        _variable("SYSTEM_NAMESPACE", SYSTEM_NAMESPACE),
        _variable("SERVING_LOGGING_CONFIG", ""),
        _variable("SERVING_LOGGING_LEVEL", ""),
    ]
    if probe is not None:
        env.append(_variable("SERVING_READINESS_PROBE", json.dumps(probe, separators=(",", ":"), sort_keys=True)))
    return env


def serving_container(spec: Object) -> Object:
    """Return the container that requests go to: the only one, or the one with a port."""
    containers: list[Object] = spec["containers"]
    return next((container for container in containers if container.get("ports")), containers[0])


def _variable(name: str, value: Any) -> Object:
    return {"name": name, "value": str(value)}


def _port(name: str, number: int) -> Object:
    return {"name": name, "containerPort": number, "protocol": "TCP"}
