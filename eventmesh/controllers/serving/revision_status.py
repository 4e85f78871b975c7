"""What a Revision's conditions say, from its Deployment, pods and PodAutoscaler. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from eventmesh.base.frozen import frozen
from eventmesh.controllers.serving.resources.sidecar import NAME as SIDECAR
from eventmesh.kube.api import Object
from eventmesh.kube.objects import is_deleting
from eventmesh.kube.status import CONTAINERS_SILENT, FALSE, TRUE, Conditions, ConditionSet, condition

RESOURCES_AVAILABLE = "ResourcesAvailable"
CONTAINER_HEALTHY = "ContainerHealthy"
ACTIVE = "Active"
REVISION_CONDITIONS = ConditionSet((RESOURCES_AVAILABLE, CONTAINER_HEALTHY))

CONTAINER_MISSING = "ContainerMissing"
RESOLVING_DIGESTS = "ResolvingDigests"
IMAGE_GRACE_S = 2.0
"""How long an image is looked for before its absence is a failure. Stamps hold whole seconds: at least one passes."""
PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
_NOT_STARTABLE = frozenset(
    ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError")
)
"""Reasons for which a container waits until somebody changes something."""


@frozen
class Failure:
    """Why a container does not run."""

    reason: str
    message: str


def mark_resources(conditions: Conditions, deployment: Object, pods: Collection[Object]) -> None:
    """Tell how far the Deployment and its pods are."""
    progressing = condition(deployment, "Progressing")
    failed = condition(deployment, "ReplicaFailure")
    if failed is not None and failed["status"] == TRUE:
        conditions.mark_false(RESOURCES_AVAILABLE, failed.get("reason", ""), failed.get("message", ""))
    elif progressing is not None and progressing["status"] == FALSE:
        conditions.mark_false(RESOURCES_AVAILABLE, progressing.get("reason", ""), progressing.get("message", ""))
    elif not conditions.is_true(RESOURCES_AVAILABLE):
        conditions.mark_unknown(RESOURCES_AVAILABLE, "Deploying")
    wanted, available = deployment["spec"].get("replicas"), (deployment.get("status") or {}).get("availableReplicas")
    failures = (_failure(pod) for pod in pods if not is_deleting(pod)) if wanted and not available else iter(())
    failure = next(filter(None, failures), None)
    unplaced = next(filter(None, map(_unplaced, pods)), None) if wanted and not available else None
    if unplaced is not None:
        conditions.mark_false(RESOURCES_AVAILABLE, unplaced.reason, unplaced.message)
    if failure is not None:
        conditions.mark_false(CONTAINER_HEALTHY, failure.reason, failure.message)
    elif not conditions.is_true(CONTAINER_HEALTHY) and not _has_crashed(conditions):
        # It may only be slow: no failure before the progress deadline, but what is known is told at once.
        silence = next(filter(None, map(_silence, pods)), "")
        conditions.mark_unknown(CONTAINER_HEALTHY, CONTAINERS_SILENT if silence else "Deploying", silence)


def mark_unknown_image(conditions: Conditions, image: str, problem: str, now: datetime) -> None:
    """Tell that there is no such image: nothing of the revision can run.

    The verdict comes after IMAGE_GRACE_S. kn reads a Service right after it was created and then waits for changes:
    a failure that was written before that reading is one it never hears of.
    """
    message = f'Unable to fetch image "{image}": {problem}'
    told = conditions.get(CONTAINER_HEALTHY)
    if told is not None and (told.get("reason") == CONTAINER_MISSING or _has_been_resolving(told, now)):
        conditions.mark_false(CONTAINER_HEALTHY, CONTAINER_MISSING, message)
    else:
        conditions.mark_unknown(CONTAINER_HEALTHY, RESOLVING_DIGESTS, message)
    if not conditions.is_true(RESOURCES_AVAILABLE):
        conditions.mark_unknown(RESOURCES_AVAILABLE, "Deploying")


def _has_been_resolving(told: Object, now: datetime) -> bool:
    since = datetime.fromisoformat(told["lastTransitionTime"])
    return told.get("reason") == RESOLVING_DIGESTS and (now - since).total_seconds() >= IMAGE_GRACE_S


def mark_autoscaling(conditions: Conditions, autoscaler: Object | None) -> None:
    """Tell what the PodAutoscaler says: whether the revision ever came up, and whether it is awake."""
    ready = condition(autoscaler, "Ready") if autoscaler is not None else None
    if autoscaler is None or ready is None:
        conditions.mark_unknown(ACTIVE, "Deploying")
        return
    initialized = condition(autoscaler, "ScaleTargetInitialized")
    came_up = initialized is not None and initialized["status"] == TRUE
    if came_up and not _is_false(conditions, RESOURCES_AVAILABLE):
        # Pods were ready once: what fails later is told by their own status, not by the revision's readiness.
        conditions.mark_true(RESOURCES_AVAILABLE)
        conditions.mark_true(CONTAINER_HEALTHY)
    status, reason, message = ready["status"], ready.get("reason", ""), ready.get("message", "")
    conditions.mark(ACTIVE, status, reason, message)
    gave_up = status == FALSE and not came_up and bool((autoscaler.get("status") or {}).get("serviceName"))
    if gave_up and not _is_false(conditions, RESOURCES_AVAILABLE) and reason != "NoTraffic":
        conditions.mark_false(RESOURCES_AVAILABLE, PROGRESS_DEADLINE_EXCEEDED, "Initial scale was never achieved")


def _failure(pod: Object) -> Failure | None:
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        state, last = status.get("state") or {}, status.get("lastState") or {}
        ended = state.get("terminated") or last.get("terminated")
        if ended is not None:
            if status["name"] == SIDECAR:
                # Its end is nothing that the author could mend; that it cannot begin (no room) keeps all from running.
                continue
            message = ended.get("message") or ended.get("reason") or "no output"
            return Failure(f"ExitCode{ended['exitCode']}", f"Container failed with: {message}")
        waiting = state.get("waiting") or {}
        if waiting.get("reason") in _NOT_STARTABLE:
            return Failure(waiting["reason"], waiting.get("message") or f"Container waits: {waiting['reason']}")
    return None


def _unplaced(pod: Object) -> Failure | None:
    scheduled = condition(pod, "PodScheduled")
    if scheduled is None or scheduled["status"] != FALSE or is_deleting(pod):
        return None
    return Failure(scheduled.get("reason", ""), scheduled.get("message", ""))


def _silence(pod: Object) -> str:
    ready = condition(pod, "Ready")
    return ready.get("message", "") if ready is not None and ready.get("reason") == CONTAINERS_SILENT else ""


def _has_crashed(conditions: Conditions) -> bool:
    """Return whether the last thing known of the container is that it ended: that stays until it is ready."""
    found = conditions.get(CONTAINER_HEALTHY)
    return found is not None and found["status"] == FALSE and found.get("reason") != CONTAINER_MISSING


def _is_false(conditions: Conditions, kind: str) -> bool:
    found = conditions.get(kind)
    return found is not None and found["status"] == FALSE
