"""What a Deployment says of itself: counts and conditions, as Kubernetes words them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from eventmesh.base.clock import rfc3339
from eventmesh.controllers.workloads.rollout import Bounds, desired_replicas
from eventmesh.kube.api import Object
from eventmesh.kube.status import condition

DEFAULT_PROGRESS_DEADLINE_S: Final = 600
"""Kubernetes' own default of progressDeadlineSeconds."""

_NOT_GOING_ON: Final = ("NewReplicaSetAvailable", "DeploymentPaused")
"""Reasons of `Progressing` from which a rollout begins anew."""


def deployment_status(deployment: Object, newest: Object | None, older: Sequence[Object], now: datetime) -> Object:
    """Return the status; `newest` is None while a paused Deployment has no ReplicaSet of its present template."""
    counts = _counts(deployment, newest, older)
    progressing = _progressing(deployment, newest, counts, now)
    failures = [found for item in (newest, *older) if item is not None and (found := condition(item, "ReplicaFailure"))]
    failed = [_failed(deployment, failures[0], now)] if failures else []
    return {**counts, "conditions": [_available(deployment, counts, now), progressing, *failed]}


def progress_deadline(deployment: Object, status: Object) -> datetime | None:
    """Return when a rollout that goes on will have taken too long; None when none goes on."""
    progressing = condition({"status": status}, "Progressing")
    if progressing is None or progressing["reason"] != "ReplicaSetUpdated":
        return None
    return datetime.fromisoformat(progressing["lastUpdateTime"]) + timedelta(seconds=_deadline_s(deployment))


def _counts(deployment: Object, newest: Object | None, older: Sequence[Object]) -> dict[str, int]:
    updated = ((newest or {}).get("status")) or {}
    statuses = [updated, *(item.get("status") or {} for item in older)]
    available = sum(status.get("availableReplicas", 0) for status in statuses)
    counts = {
        "replicas": sum(status.get("replicas", 0) for status in statuses),
        "updatedReplicas": updated.get("replicas", 0),
        "readyReplicas": sum(status.get("readyReplicas", 0) for status in statuses),
        "availableReplicas": available,
        "unavailableReplicas": max(0, desired_replicas(deployment) - available),
    }
    # Kubernetes leaves zeros out, and clients print what is there.
    return {name: count for name, count in counts.items() if count}


def _deadline_s(deployment: Object) -> int:
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return DEFAULT_PROGRESS_DEADLINE_S if seconds is None else int(seconds)


def _available(deployment: Object, counts: dict[str, int], now: datetime) -> Object:
    least = max(0, desired_replicas(deployment) - Bounds.of(deployment).unavailable)
    if counts.get("availableReplicas", 0) >= least:
        wanted = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        wanted = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return _condition(deployment, "Available", *wanted, now)


def _progressing(deployment: Object, newest: Object | None, counts: dict[str, int], now: datetime) -> Object:
    stored = condition(deployment, "Progressing")
    if deployment["spec"].get("paused") or newest is None:
        return _condition(deployment, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now)
    name = newest["metadata"]["name"]
    desired = desired_replicas(deployment)
    complete = (
        counts.get("updatedReplicas", 0) == desired == counts.get("availableReplicas", 0) == counts.get("replicas", 0)
    )
    if complete:
        message = f'ReplicaSet "{name}" has successfully progressed.'
        return _condition(deployment, "Progressing", "True", "NewReplicaSetAvailable", message, now)
    before = deployment.get("status") or {}
    moved = before.get("observedGeneration") != deployment["metadata"].get("generation") or any(
        counts.get(field, 0) > before.get(field, 0) for field in ("updatedReplicas", "readyReplicas")
    )
    if stored is not None and not moved and stored.get("reason") not in _NOT_GOING_ON:
        since = datetime.fromisoformat(stored["lastUpdateTime"])
        if now - since <= timedelta(seconds=_deadline_s(deployment)) and stored["status"] == "True":
            return stored
        message = f'ReplicaSet "{name}" has timed out progressing.'
        return _condition(deployment, "Progressing", "False", "ProgressDeadlineExceeded", message, now)
    progress = _condition(
        deployment, "Progressing", "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.', now
    )
    return {**progress, "lastUpdateTime": rfc3339(now)}


def _failed(deployment: Object, failure: Object, now: datetime) -> Object:
    return _condition(deployment, "ReplicaFailure", "True", failure["reason"], failure["message"], now)


def _condition(deployment: Object, kind: str, status: str, reason: str, message: str, now: datetime) -> Object:
    """Return the condition; its stamps stay while it says the same."""
    stored = condition(deployment, kind)
    if stored is not None and (stored["status"], stored.get("reason"), stored.get("message")) == (
        status,
        reason,
        message,
    ):
        return stored
    turned = stored is None or stored["status"] != status
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": rfc3339(now),
        "lastTransitionTime": rfc3339(now) if turned or stored is None else stored["lastTransitionTime"],
    }
