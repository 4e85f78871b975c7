"""What a Revision's conditions say, in tables: Deployment, pods and PodAutoscaler in, conditions out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventmesh.controllers.serving.revision_status import (
    IMAGE_GRACE_S,
    REVISION_CONDITIONS,
    mark_autoscaling,
    mark_resources,
    mark_unknown_image,
)
from eventmesh.kube.api import Object
from eventmesh.kube.status import Conditions

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def fresh() -> Conditions:
    return Conditions(REVISION_CONDITIONS, [], NOW)


def said(conditions: Conditions, kind: str) -> tuple[str, str]:
    found = conditions.get(kind) or {}
    return found.get("status", ""), found.get("reason", "")


def deployment(*conditions: Object, replicas: int = 1, available: int = 0) -> Object:
    return {"spec": {"replicas": replicas}, "status": {"conditions": list(conditions), "availableReplicas": available}}


def pod(name: str = "user-container", **state: Any) -> Object:
    return {"metadata": {}, "status": {"containerStatuses": [{"name": name, **state}]}}


def entry(kind: str, status: str, reason: str = "", message: str = "") -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def autoscaler(*conditions: Object, service: str = "r") -> Object:
    return {"status": {"serviceName": service, "conditions": list(conditions)}}


CAME_UP = entry("ScaleTargetInitialized", "True")
TERMINATED = {"terminated": {"exitCode": 3, "message": "boom"}}


@pytest.mark.parametrize(
    ("conditions", "resources"),
    [
        ([], ("Unknown", "Deploying")),
        ([entry("Progressing", "True", "NewReplicaSetCreated")], ("Unknown", "Deploying")),
        ([entry("Progressing", "False", "ProgressDeadlineExceeded")], ("False", "ProgressDeadlineExceeded")),
        ([entry("ReplicaFailure", "True", "FailedCreate")], ("False", "FailedCreate")),
    ],
)
def test_resources_follow_the_deployment(conditions: list[Object], resources: tuple[str, str]) -> None:
    marks = fresh()
    mark_resources(marks, deployment(*conditions), [])
    assert said(marks, "ResourcesAvailable") == resources


@pytest.mark.parametrize(
    ("pods", "healthy"),
    [
        ([pod(state=TERMINATED)], ("False", "ExitCode3")),
        ([pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=TERMINATED)], ("False", "ExitCode3")),
        ([pod(state={"waiting": {"reason": "CreateContainerConfigError"}})], ("False", "CreateContainerConfigError")),
        ([pod(state={"waiting": {"reason": "ContainerCreating"}})], ("Unknown", "Deploying")),
        ([pod(state={"running": {}})], ("Unknown", "Deploying")),
        # The sidecar's end is not the author's fault.
        ([pod("queue-proxy", state=TERMINATED)], ("Unknown", "Deploying")),
        (
            [pod("queue-proxy", state={"waiting": {"reason": "CreateContainerConfigError", "message": "no room"}})],
            ("False", "CreateContainerConfigError"),
        ),
        ([{**pod(state=TERMINATED), "metadata": {"deletionTimestamp": "now"}}], ("Unknown", "Deploying")),
    ],
)
def test_container_health_follows_the_pods(pods: list[Object], healthy: tuple[str, str]) -> None:
    marks = fresh()
    mark_resources(marks, deployment(), pods)
    assert said(marks, "ContainerHealthy") == healthy


def test_a_crash_beside_pods_that_serve_is_no_failure() -> None:
    marks = fresh()
    mark_resources(marks, deployment(available=1), [pod(state=TERMINATED)])
    assert said(marks, "ContainerHealthy") == ("Unknown", "Deploying")


def test_a_silent_function_may_be_slow_and_what_is_known_of_it_is_told() -> None:
    marks = fresh()
    silent = pod(state={"running": {}})
    silent["status"]["conditions"] = [entry("Ready", "False", "ContainersSilent", "it listens on port 80")]
    mark_resources(marks, deployment(), [silent])
    assert said(marks, "ContainerHealthy") == ("Unknown", "ContainersSilent")
    assert (marks.get("ContainerHealthy") or {})["message"] == "it listens on port 80"
    mark_resources(marks, deployment(), [pod(state={"running": {}})])
    assert said(marks, "ContainerHealthy") == ("Unknown", "Deploying")


def test_what_ended_stays_told_while_it_is_started_again() -> None:
    marks = fresh()
    mark_resources(marks, deployment(), [pod(state=TERMINATED)])
    mark_resources(marks, deployment(), [pod(state={"running": {}})])
    assert said(marks, "ContainerHealthy") == ("False", "ExitCode3")


def test_an_image_that_turned_up_is_no_longer_missing() -> None:
    marks = fresh()
    mark_unknown_image(marks, "dev.local/x", "unknown", NOW)
    mark_unknown_image(marks, "dev.local/x", "unknown", NOW + timedelta(seconds=IMAGE_GRACE_S))
    assert said(marks, "ContainerHealthy") == ("False", "ContainerMissing")
    mark_resources(marks, deployment(), [])
    assert said(marks, "ContainerHealthy") == ("Unknown", "Deploying")


@pytest.mark.parametrize(
    ("conditions", "active", "resources"),
    [
        ([], ("Unknown", "Deploying"), ("Unknown", "")),
        ([entry("Ready", "Unknown", "Queued")], ("Unknown", "Queued"), ("Unknown", "")),
        ([entry("Ready", "True"), CAME_UP], ("True", ""), ("True", "")),
        ([entry("Ready", "False", "NoTraffic"), CAME_UP], ("False", "NoTraffic"), ("True", "")),
        ([entry("Ready", "False", "TimedOut")], ("False", "TimedOut"), ("False", "ProgressDeadlineExceeded")),
        ([entry("Ready", "False", "NoTraffic")], ("False", "NoTraffic"), ("Unknown", "")),
    ],
)
def test_activity_and_readiness_follow_the_autoscaler(
    conditions: list[Object], active: tuple[str, str], resources: tuple[str, str]
) -> None:
    marks = fresh()
    mark_autoscaling(marks, autoscaler(*conditions))
    assert said(marks, "Active") == active
    assert said(marks, "ResourcesAvailable") == resources


def test_without_an_autoscaler_nothing_is_known_of_activity() -> None:
    marks = fresh()
    mark_autoscaling(marks, None)
    assert said(marks, "Active") == ("Unknown", "Deploying")


def test_pods_that_came_up_once_make_up_for_a_crash_but_not_for_a_failed_deployment() -> None:
    marks = fresh()
    mark_resources(marks, deployment(), [pod(state=TERMINATED)])
    mark_autoscaling(marks, autoscaler(entry("Ready", "True"), CAME_UP))
    assert said(marks, "ContainerHealthy") == ("True", "")
    failed = fresh()
    mark_resources(failed, deployment(entry("Progressing", "False", "ProgressDeadlineExceeded")), [])
    mark_autoscaling(failed, autoscaler(entry("Ready", "True"), CAME_UP))
    assert said(failed, "ResourcesAvailable") == ("False", "ProgressDeadlineExceeded")


def test_an_image_is_looked_for_a_while_before_its_absence_is_a_failure() -> None:
    marks = fresh()
    for seconds in (0.0, 0.1, IMAGE_GRACE_S - 0.1):
        mark_unknown_image(marks, "dev.local/x", "unknown", NOW + timedelta(seconds=seconds))
        assert said(marks, "ContainerHealthy") == ("Unknown", "ResolvingDigests")
    mark_unknown_image(marks, "dev.local/x", "unknown", NOW + timedelta(seconds=IMAGE_GRACE_S))
    assert said(marks, "ContainerHealthy") == ("False", "ContainerMissing")


def test_a_pod_that_finds_no_node_keeps_the_revision_from_being_ready_until_it_does() -> None:
    marks = fresh()
    waiting = pod()
    waiting["status"]["conditions"] = [entry("PodScheduled", "False", "Unschedulable", "0/1 nodes are available")]
    mark_resources(marks, deployment(), [waiting])
    assert said(marks, "ResourcesAvailable") == ("False", "Unschedulable")
    mark_resources(marks, deployment(), [pod()])
    assert said(marks, "ResourcesAvailable") == ("Unknown", "Deploying")
