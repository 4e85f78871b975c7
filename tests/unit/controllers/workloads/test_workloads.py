"""Deployments, ReplicaSets and endpoints: what they write when the world changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import (
    DEPLOYMENT,
    ENDPOINT_SLICE,
    ENDPOINTS,
    EVENT,
    POD,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
)
from eventmesh.kube.status import condition
from tests.unit.controllers.workloads.cluster import Cluster, deployment


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path)
    await cluster.start()
    yield cluster
    await cluster.stop()


def reason(obj: Object, kind: str) -> tuple[str, str]:
    found = condition(obj, kind)
    assert found is not None
    return found["status"], found["reason"]


async def test_a_deployment_owns_a_replica_set_that_owns_the_pods(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/a", 2), "default")
    pods = await cluster.pods()
    (owner,) = await cluster.all(REPLICA_SET)
    assert len(pods) == 2
    assert {pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods} == {owner["metadata"]["uid"]}
    assert owner["metadata"]["ownerReferences"][0]["name"] == "hello"


async def test_status_counts_and_conditions_follow_the_pods(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/a", 2), "default")
    first, second = await cluster.pods()
    found = await cluster.deployment()
    assert found["status"]["unavailableReplicas"] == 2
    assert reason(found, "Available") == ("False", "MinimumReplicasUnavailable")
    assert reason(found, "Progressing") == ("True", "ReplicaSetUpdated")
    for pod in (first, second):
        await cluster.report(pod, ready=True)
    found = await cluster.deployment()
    assert (found["status"]["readyReplicas"], found["status"]["availableReplicas"]) == (2, 2)
    assert "unavailableReplicas" not in found["status"]
    assert reason(found, "Available") == ("True", "MinimumReplicasAvailable")
    assert reason(found, "Progressing") == ("True", "NewReplicaSetAvailable")
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]


async def test_a_rollout_that_does_not_move_exceeds_its_deadline_once_and_may_recover(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/a", 1, progressDeadlineSeconds=10), "default")
    (pod,) = await cluster.pods()
    await cluster.clock.advance(9.0)
    assert reason(await cluster.deployment(), "Progressing") == ("True", "ReplicaSetUpdated")
    await cluster.clock.advance(3.0)
    assert reason(await cluster.deployment(), "Progressing") == ("False", "ProgressDeadlineExceeded")
    await cluster.report(pod, ready=True)
    assert reason(await cluster.deployment(), "Progressing") == ("True", "NewReplicaSetAvailable")


async def test_a_new_template_takes_over_pod_by_pod_without_a_gap(cluster: Cluster) -> None:
    careful: dict[str, Any] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    found = await cluster.api.create(DEPLOYMENT, deployment("dev.local/a", 1, strategy=careful), "default")
    (old,) = await cluster.pods()
    await cluster.report(old, ready=True)
    found = await cluster.deployment()
    await cluster.api.replace(DEPLOYMENT, {**found, "spec": deployment("dev.local/b", 1, strategy=careful)["spec"]})
    names = {pod["metadata"]["name"] for pod in await cluster.pods()}
    assert old["metadata"]["name"] in names
    assert len(names) == 2
    (new,) = [pod for pod in await cluster.pods() if pod["metadata"]["name"] != old["metadata"]["name"]]
    await cluster.report(new, ready=True)
    assert [pod["metadata"]["name"] for pod in await cluster.pods()] == [new["metadata"]["name"]]


async def test_going_back_to_an_old_template_uses_its_replica_set_again(cluster: Cluster) -> None:
    found = await cluster.api.create(DEPLOYMENT, deployment("dev.local/a", 0), "default")
    (first,) = await cluster.all(REPLICA_SET)
    for image in ("dev.local/b", "dev.local/a"):
        found = await cluster.deployment()
        await cluster.api.replace(DEPLOYMENT, {**found, "spec": deployment(image, 0)["spec"]})
        await cluster.deployment()
    sets = await cluster.all(REPLICA_SET)
    assert len(sets) == 2
    assert first["metadata"]["uid"] in {item["metadata"]["uid"] for item in sets}


async def test_only_as_many_old_versions_are_kept_as_the_limit_says(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/v0", 0, revisionHistoryLimit=1), "default")
    for number in range(1, 4):
        found = await cluster.deployment()
        wanted = deployment(f"dev.local/v{number}", 0, revisionHistoryLimit=1)
        await cluster.api.replace(DEPLOYMENT, {**found, "spec": wanted["spec"]})
        await cluster.deployment()
    images = {item["spec"]["template"]["spec"]["containers"][0]["image"] for item in await cluster.all(REPLICA_SET)}
    assert images == {"dev.local/v3", "dev.local/v2"}


async def test_scaling_down_keeps_the_pods_that_serve(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/a", 3), "default")
    pods = await cluster.pods()
    await cluster.report(pods[1], ready=True)
    await cluster.api.patch(DEPLOYMENT, "hello", {"spec": {"replicas": 1}}, "default")
    await cluster.remove()
    assert [pod["metadata"]["name"] for pod in await cluster.pods()] == [pods[1]["metadata"]["name"]]


async def test_quick_changes_of_scale_end_at_the_last_one(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/a", 0), "default")
    await cluster.deployment()
    for replicas in (5, 1, 4, 0, 2):
        await cluster.api.patch(DEPLOYMENT, "hello", {"spec": {"replicas": replicas}}, "default")
    assert len(await cluster.pods()) == 2
    messages = [event["message"] for event in await cluster.all(EVENT) if event["reason"] == "ScalingReplicaSet"]
    assert any("Scaled up replica set" in message for message in messages)


async def test_a_pod_that_failed_for_good_is_replaced(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/a", 1), "default")
    (pod,) = await cluster.pods()
    status = {"status": {"phase": "Failed"}}
    await cluster.api.patch(
        resource=POD, name=pod["metadata"]["name"], patch=status, namespace="default", subresource="status"
    )
    active = [item for item in await cluster.pods() if item["status"]["phase"] != "Failed"]
    assert len(active) == 1


async def test_a_service_lists_ready_and_unready_pods_apart(cluster: Cluster) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web", "appProtocol": "http"}]
    spec = {"selector": {"app": "hello"}, "ports": ports}
    await cluster.api.create(SERVICE, {"metadata": {"name": "hello"}, "spec": spec}, "default")
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/a", 2), "default")
    first, second = await cluster.pods()
    await cluster.report(first, ready=True, address="127.64.0.1")
    await cluster.report(second, ready=False, address="127.64.0.2")
    (piece,) = await cluster.all(ENDPOINT_SLICE)
    states = {endpoint["addresses"][0]: endpoint["conditions"]["ready"] for endpoint in piece["endpoints"]}
    assert states == {"127.64.0.1": True, "127.64.0.2": False}
    assert piece["ports"] == [{"name": "http", "port": 9000, "protocol": "TCP", "appProtocol": "http"}]
    assert piece["metadata"]["labels"]["kubernetes.io/service-name"] == "hello"
    (legacy,) = await cluster.all(ENDPOINTS)
    (subset,) = legacy["subsets"]
    assert [entry["ip"] for entry in subset["addresses"]] == ["127.64.0.1"]
    assert [entry["ip"] for entry in subset["notReadyAddresses"]] == ["127.64.0.2"]


async def test_a_pod_is_of_every_service_that_selects_it_by_all_its_labels(cluster: Cluster) -> None:
    selectors = {
        "exact": {"app": "hello"},
        "narrow": {"app": "hello", "a-longer-label": "than-the-pod-has"},
        "other": {"app": "hullo"},
    }
    for name, selector in selectors.items():
        spec = {"selector": selector, "ports": [{"port": 80}]}
        await cluster.api.create(SERVICE, {"metadata": {"name": name}, "spec": spec}, "default")
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/a", 1), "default")
    (pod,) = await cluster.pods()
    await cluster.report(pod, ready=True)

    async def served() -> list[str]:
        pieces = await cluster.all(ENDPOINT_SLICE)
        names = {piece["metadata"]["labels"]["kubernetes.io/service-name"] for piece in pieces if piece["endpoints"]}
        return sorted(names)

    assert await served() == ["exact"]
    labels = {"a-longer-label": "than-the-pod-has"}
    await cluster.api.patch(POD, pod["metadata"]["name"], {"metadata": {"labels": labels}}, "default")
    assert await served() == ["exact", "narrow"]
    await cluster.api.patch(SERVICE, "other", {"spec": {"selector": {"app": "hello"}}}, "default")
    await cluster.api.patch(SERVICE, "exact", {"spec": {"selector": {"app": "nobody"}}}, "default")
    assert await served() == ["narrow", "other"]


async def test_a_pod_on_its_way_out_takes_no_more_requests(cluster: Cluster) -> None:
    spec = {"selector": {"app": "hello"}, "ports": [{"port": 80}]}
    await cluster.api.create(SERVICE, {"metadata": {"name": "hello"}, "spec": spec}, "default")
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/a", 1), "default")
    (pod,) = await cluster.pods()
    await cluster.report(pod, ready=True)
    await cluster.api.patch(DEPLOYMENT, "hello", {"spec": {"replicas": 0}}, "default")
    (piece,) = await cluster.all(ENDPOINT_SLICE)
    assert [endpoint["conditions"] for endpoint in piece["endpoints"]] == [
        {"ready": False, "serving": True, "terminating": True}
    ]
    await cluster.remove()
    (piece,) = await cluster.all(ENDPOINT_SLICE)
    assert piece["endpoints"] == []


async def test_services_without_selector_keep_the_endpoints_others_wrote(cluster: Cluster) -> None:
    await cluster.api.create(SERVICE, {"metadata": {"name": "manual"}, "spec": {"ports": [{"port": 80}]}}, "default")
    assert await cluster.all(ENDPOINT_SLICE) == []


async def test_an_unknown_service_account_is_told_and_its_pods_come_when_it_does(cluster: Cluster) -> None:
    wanted = deployment("dev.local/a", 1)
    wanted["spec"]["template"]["spec"]["serviceAccountName"] = "robot"
    await cluster.api.create(DEPLOYMENT, wanted, "default")
    found = await cluster.deployment()
    failure = condition(found, "ReplicaFailure")
    assert failure is not None
    why = 'error looking up service account default/robot: serviceaccount "robot" not found'
    assert (failure["reason"], why in failure["message"]) == ("FailedCreate", True)
    assert any(why in event["message"] for event in await cluster.all(EVENT) if event["reason"] == "FailedCreate")
    account = {"metadata": {"name": "robot"}, "imagePullSecrets": [{"name": "registry"}]}
    await cluster.api.create(SERVICE_ACCOUNT, account, "default")
    await cluster.clock.advance(3.0)
    (pod,) = await cluster.pods()
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert condition(await cluster.deployment(), "ReplicaFailure") is None


async def test_a_pod_under_an_unknown_service_account_is_forbidden(cluster: Cluster) -> None:
    spec = {"serviceAccountName": "nobody", "containers": [{"name": "c", "image": "i"}]}
    with pytest.raises(ApiError) as refused:
        await cluster.api.create(POD, {"metadata": {"name": "p"}, "spec": spec}, "default")
    assert refused.value.code == 403
    assert refused.value.message == (
        'pods "p" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found'
    )


@pytest.mark.parametrize(
    ("resources", "word"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
async def test_what_a_pod_asks_for_says_how_sure_it_may_be_of_it(
    cluster: Cluster, resources: Object, word: str
) -> None:
    spec = {"containers": [{"name": "c", "image": "i", "resources": resources}]}
    pod = await cluster.api.create(POD, {"metadata": {"name": "p"}, "spec": spec}, "default")
    assert pod["status"]["qosClass"] == word
