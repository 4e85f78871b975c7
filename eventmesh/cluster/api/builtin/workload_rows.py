"""The rows of what runs pods, and of what scales it (`kubernetes/pkg/printers/internalversion`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from eventmesh.cluster.api.age import age
from eventmesh.cluster.api.builtin.cells import (
    NONE,
    Rows,
    age_of,
    columns,
    images_of,
    selector_of,
    some_of,
    spec_of,
    status_of,
)
from eventmesh.kube.api import Object


def _pods_of(spec: Object) -> list[str]:
    """Return what a spec says of its pods, as the last columns of `-o wide` do: containers, images, selector."""
    return [*images_of(spec.get("template") or {}), selector_of((spec.get("selector") or {}).get("matchLabels"))]


def _deployment(obj: Object, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    return [
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age_of(obj, now),
        *_pods_of(spec),
    ]


def _replica_set(obj: Object, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    return [
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age_of(obj, now),
        *_pods_of(spec),
    ]


def _stateful_set(obj: Object, now: datetime) -> list[Any]:
    spec = spec_of(obj)
    ready = f"{status_of(obj).get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [ready, age_of(obj, now), *images_of(spec.get("template") or {})]


def _daemon_set(obj: Object, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        *(status.get(count, 0) for count in counts),
        selector_of(spec_of(spec.get("template") or {}).get("nodeSelector")),
        age_of(obj, now),
        *_pods_of(spec),
    ]


def _job(obj: Object, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    kinds = {c["type"] for c in status.get("conditions") or [] if c.get("status") == "True"}
    words = ("Complete", "Failed", "SuccessCriteriaMet", "FailureTarget", "Suspended")
    state = next((word for word in words if word in kinds), "Running")
    wanted, succeeded = spec.get("completions"), status.get("succeeded", 0)
    parallel = spec.get("parallelism", 1)
    of = wanted if wanted is not None else f"1 of {parallel}" if parallel > 1 else 1
    return [state, f"{succeeded}/{of}", _duration(status, now), age_of(obj, now), *_pods_of(spec)]


def _duration(status: Object, now: datetime) -> str:
    """Return how long a job has run, or ran."""
    ended = status.get("completionTime")
    return age(status["startTime"], datetime.fromisoformat(ended) if ended else now) if "startTime" in status else ""


def _cron_job(obj: Object, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    names, images = images_of(((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {})
    last = status.get("lastScheduleTime")
    return [
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        str(bool(spec.get("suspend"))),
        len(status.get("active") or []),
        age(last, now) if last else NONE,
        age_of(obj, now),
        names,
        images,
    ]


def _autoscaler(obj: Object, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    reference = spec.get("scaleTargetRef") or {}
    shown = [_metric(metric, status) for metric in spec.get("metrics") or []]
    return [
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        some_of(shown, 2),
        str(spec.get("minReplicas", 1)),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age_of(obj, now),
    ]


def _metric(metric: Object, status: Object) -> str:
    """Return `cpu: 50%/80%`: what is used, and what is meant to be."""
    resource = metric.get("resource") or {}
    name, target = resource.get("name", ""), resource.get("target") or {}
    current: Object = {}
    for entry in status.get("currentMetrics") or []:
        if (entry.get("resource") or {}).get("name") == name:
            current = entry["resource"].get("current") or {}
    percent = target.get("averageUtilization")
    if percent is not None:
        used = current.get("averageUtilization")
        return f"{name}: {'<unknown>' if used is None else f'{used}%'}/{percent}%"
    return (
        f"{name or metric.get('type', '')}: {current.get('averageValue', '<unknown>')}/{target.get('averageValue', '')}"
    )


WORKLOAD_ROWS: Rows = {
    "deployments.apps": (columns("Ready Up-to-date Available Age *Containers *Images *Selector"), _deployment),
    "replicasets.apps": (columns("Desired Current Ready Age *Containers *Images *Selector"), _replica_set),
    "statefulsets.apps": (columns("Ready Age *Containers *Images"), _stateful_set),
    "daemonsets.apps": (
        columns("Desired Current Ready Up-to-date Available Node_Selector Age *Containers *Images *Selector"),
        _daemon_set,
    ),
    "jobs.batch": (columns("Status Completions Duration Age *Containers *Images *Selector"), _job),
    "cronjobs.batch": (
        columns("Schedule Timezone Suspend Active Last_Schedule Age *Containers *Images"),
        _cron_job,
    ),
    "horizontalpodautoscalers.autoscaling": (
        columns("Reference Targets MinPods MaxPods Replicas Age"),
        _autoscaler,
    ),
}
