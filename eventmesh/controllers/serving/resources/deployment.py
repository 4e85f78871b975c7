"""Revision → Deployment (Serving, pkg/reconciler/revision/resources/deploy.go)."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

from eventmesh.autoscale.annotations import DOMAIN as AUTOSCALING
from eventmesh.autoscale.spec import initial_scale
from eventmesh.base.durations import parse_go
from eventmesh.controllers.serving.names import (
    CONFIGURATION,
    LAST_APPLIED,
    PROGRESS_DEADLINE,
    REVISION_UID,
    ROUTES,
    ROUTING_STATE,
    ROUTING_STATE_MODIFIED,
    SERVICE,
    deployment_name,
)
from eventmesh.controllers.serving.names import REVISION as REVISION_LABEL
from eventmesh.controllers.serving.resources.sidecar import ADMIN_PORT, serving_container, sidecar
from eventmesh.controllers.serving.settings import ServingSettings
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of, owner_reference
from eventmesh.kube.resources import DEPLOYMENT, REVISION

DEFAULT_PORT = 8080
"""Where a function listens when it names no port (Knative's DefaultUserPort)."""
USER_PORT_NAME = "user-port"
NOT_OF_CHILDREN = (LAST_APPLIED, ROUTES, ROUTING_STATE_MODIFIED)
"""Annotations of a revision that come and go with routes, or are one client's: what it owns does without them."""
_REVISION_ONLY = frozenset(
    ("containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds")
)


def revision_labels(revision: Object) -> dict[str, str]:
    """Return the labels of all that a revision owns: its own but for what changes with routes, and its name."""
    labels = {key: value for key, value in labels_of(revision).items() if key not in (ROUTING_STATE,)}
    metadata = revision["metadata"]
    return {**labels, REVISION_LABEL: metadata["name"], REVISION_UID: metadata["uid"], "app": metadata["name"]}


def child_annotations(revision: Object) -> dict[str, str]:
    """Return the annotations of what a revision owns."""
    return {key: value for key, value in annotations_of(revision).items() if key not in NOT_OF_CHILDREN}


def user_port(revision: Object) -> int:
    """Return where the function listens."""
    ports = serving_container(revision["spec"]).get("ports") or []
    number: int = ports[0].get("containerPort") or DEFAULT_PORT if ports else DEFAULT_PORT
    return number


def is_h2c(revision: Object) -> bool:
    """Return whether the function speaks clear-text HTTP/2 by prior knowledge."""
    ports = serving_container(revision["spec"]).get("ports") or []
    return bool(ports) and ports[0].get("name") == "h2c"


def progress_deadline_s(revision: Object, settings: ServingSettings) -> float:
    """Return how long the first pods may take to become ready."""
    text = annotations_of(revision).get(PROGRESS_DEADLINE)
    if text is not None:
        try:
            return parse_go(text)
        except ValueError:
            pass  # Admission refuses it; an object that came in another way gets the cluster's deadline.
    return settings.deployment.progress_deadline_s


def deployment(revision: Object, digests: Mapping[str, str], settings: ServingSettings) -> Object:
    """Return the Deployment of a revision; `digests` name each container's image by digest.

    It starts at the initial scale; from then on `replicas` is the autoscaler's.
    """
    metadata = revision["metadata"]
    annotations = child_annotations(revision)
    pod_annotations = {k: v for k, v in annotations.items() if not k.startswith(f"{AUTOSCALING}/")}
    labels = revision_labels(revision)
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {
            "name": deployment_name(metadata["name"]),
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(REVISION, revision)],
        },
        "spec": {
            "replicas": initial_scale(annotations, settings.autoscaler),
            "selector": {"matchLabels": {REVISION_UID: metadata["uid"]}},
            "progressDeadlineSeconds": math.ceil(progress_deadline_s(revision, settings)),
            "revisionHistoryLimit": 0,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels, "annotations": pod_annotations},
                "spec": _pod_spec(revision, digests, settings),
            },
        },
    }


def _pod_spec(revision: Object, digests: Mapping[str, str], settings: ServingSettings) -> Object:
    spec = {key: value for key, value in copy.deepcopy(revision["spec"]).items() if key not in _REVISION_ONLY}
    port = user_port(revision)
    serving = serving_container(spec)
    for container in spec["containers"]:
        _user_container(container, revision, digests, port if container is serving else None)
    spec["containers"].append(sidecar(revision, port, h2c=is_h2c(revision), settings=settings))
    spec["terminationGracePeriodSeconds"] = revision["spec"].get("timeoutSeconds") or settings.defaults.timeout_s
    return spec


def _user_container(container: Object, revision: Object, digests: Mapping[str, str], port: int | None) -> None:
    labels = labels_of(revision)
    container["image"] = digests.get(container["name"], container["image"])
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    container["lifecycle"] = {"preStop": {"httpGet": {"port": ADMIN_PORT, "path": "/wait-for-drain"}}}
    variables = [
        {"name": "K_REVISION", "value": revision["metadata"]["name"]},
        {"name": "K_CONFIGURATION", "value": labels.get(CONFIGURATION, "")},
        {"name": "K_SERVICE", "value": labels.get(SERVICE, "")},
    ]
    if port is not None:
        variables.insert(0, {"name": "PORT", "value": str(port)})
        container["ports"] = [{"name": USER_PORT_NAME, "containerPort": port, "protocol": "TCP"}]
        if "exec" not in (container.get("readinessProbe") or {}):
            # The sidecar probes in its stead: only it can reach the function.
            container.pop("readinessProbe", None)
    container["env"] = [*(container.get("env") or []), *variables]
