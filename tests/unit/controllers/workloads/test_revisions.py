"""The versions of Deployments, as `kubectl rollout` reads them."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from eventmesh.controllers.workloads.revisions import (
    HISTORY,
    MAX_HISTORY_CHARS,
    REVISION,
    find_newest,
    set_annotations,
    template_hash,
)
from eventmesh.kube.api import Object
from eventmesh.kube.resources import DEPLOYMENT, POD, REPLICA_SET
from eventmesh.kube.status import condition
from tests.unit.controllers.workloads.cluster import Cluster, deployment

CAUSE = "kubernetes.io/change-cause"


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path)
    await cluster.start()
    yield cluster
    await cluster.stop()


async def change(cluster: Cluster, image: str, replicas: int = 0, **spec: Any) -> Object:
    found = copy.deepcopy(await cluster.deployment())
    found["metadata"].setdefault("annotations", {})[CAUSE] = image
    found["spec"] = deployment(image, replicas, **spec)["spec"]
    await cluster.api.replace(DEPLOYMENT, found)
    return await cluster.deployment()


async def numbers(cluster: Cluster) -> dict[str, str]:
    """Return image -> number of every ReplicaSet."""
    return {
        item["spec"]["template"]["spec"]["containers"][0]["image"]: item["metadata"]["annotations"][REVISION]
        for item in await cluster.all(REPLICA_SET)
    }


async def test_each_template_gets_the_next_number_and_the_deployment_tells_the_present_one(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("a", 0), "default")
    assert (await cluster.deployment())["metadata"]["annotations"][REVISION] == "1"
    assert (await change(cluster, "b"))["metadata"]["annotations"][REVISION] == "2"
    assert await numbers(cluster) == {"a": "1", "b": "2"}
    causes = {item["metadata"]["annotations"].get(CAUSE) for item in await cluster.all(REPLICA_SET)}
    assert causes == {None, "b"}


async def test_going_back_renumbers_the_old_version_and_remembers_what_it_was(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("a", 0), "default")
    for image in ("b", "a", "b"):
        found = await change(cluster, image)
    assert found["metadata"]["annotations"][REVISION] == "4"
    assert await numbers(cluster) == {"a": "3", "b": "4"}
    histories = {item["metadata"]["annotations"].get(HISTORY) for item in await cluster.all(REPLICA_SET)}
    assert histories == {"1", "2"}


async def test_a_template_that_a_typed_client_wrote_back_is_the_same_template(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("a", 0), "default")
    (first,) = await cluster.all(REPLICA_SET)
    found = copy.deepcopy(await cluster.deployment())
    template = copy.deepcopy(first["spec"]["template"])
    del template["metadata"]["labels"]["pod-template-hash"]
    template["metadata"]["creationTimestamp"] = None
    template["spec"]["containers"][0]["resources"] = {}
    await cluster.api.replace(DEPLOYMENT, {**found, "spec": {**found["spec"], "template": template}})
    assert [item["metadata"]["uid"] for item in await cluster.all(REPLICA_SET)] == [first["metadata"]["uid"]]


async def test_a_paused_deployment_keeps_its_pods_until_it_is_resumed(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("a", 1), "default")
    (old,) = await cluster.pods()
    await cluster.report(old, ready=True)
    found = await change(cluster, "b", 2, paused=True)
    progressing = condition(found, "Progressing")
    assert progressing is not None
    assert (progressing["status"], progressing["reason"]) == ("Unknown", "DeploymentPaused")
    images = [pod["spec"]["containers"][0]["image"] for pod in await cluster.pods()]
    assert images == ["a", "a"]
    await cluster.api.patch(DEPLOYMENT, "hello", {"spec": {"paused": None}}, "default")
    assert "b" in [pod["spec"]["containers"][0]["image"] for pod in await cluster.pods()]


async def test_recreate_makes_no_new_pod_before_the_last_old_one_is_gone(cluster: Cluster) -> None:
    recreate = {"type": "Recreate"}
    await cluster.api.create(DEPLOYMENT, deployment("a", 2, strategy=recreate), "default")
    for pod in await cluster.pods():
        await cluster.report(pod, ready=True)
    await change(cluster, "b", 2, strategy=recreate)
    leaving = await cluster.all(POD)
    assert ["deletionTimestamp" in pod["metadata"] for pod in leaving] == [True, True]
    await cluster.api.delete(POD, leaving[0]["metadata"]["name"], "default", grace_seconds=0)
    assert await cluster.pods() == []
    await cluster.remove()
    assert [pod["spec"]["containers"][0]["image"] for pod in await cluster.pods()] == ["b", "b"]


async def test_a_pod_is_available_when_it_has_been_ready_for_long_enough(cluster: Cluster) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("a", 1, minReadySeconds=10), "default")
    (pod,) = await cluster.pods()
    await cluster.report(pod, ready=True)
    status = (await cluster.deployment())["status"]
    assert (status["readyReplicas"], status.get("availableReplicas", 0)) == (1, 0)
    await cluster.clock.advance(12.0)
    assert (await cluster.deployment())["status"]["availableReplicas"] == 1


def test_of_two_sets_of_one_template_the_older_counts() -> None:
    template: Object = {"spec": {"containers": []}}
    sets = [
        {"metadata": {"name": name, "creationTimestamp": stamp}, "spec": {"template": template}}
        for name, stamp in (("late", "2026-01-02T00:00:00Z"), ("early", "2026-01-01T00:00:00Z"))
    ]
    assert find_newest({"spec": {"template": template}}, sets) is sets[1]
    assert find_newest({"spec": {"template": {"spec": {"containers": [{"name": "x"}]}}}}, sets) is None


def test_the_history_of_numbers_stays_within_its_bound() -> None:
    long = ",".join(str(number) for number in range(1000, 1400))
    newest = {"metadata": {"annotations": {REVISION: "1400", HISTORY: long}}}
    other = {"metadata": {"annotations": {REVISION: "1500"}}}
    history = set_annotations({"metadata": {}, "spec": {"replicas": 1}}, newest, [other])[HISTORY]
    assert len(history) <= MAX_HISTORY_CHARS
    assert history.endswith(",1399,1400")
    assert all(len(number) == 4 for number in history.split(","))


def test_the_hash_is_of_what_is_said() -> None:
    assert template_hash({"metadata": None, "spec": {"a": 1}}) == template_hash({"spec": {"a": 1, "b": {}}})
    assert template_hash({"spec": {"a": 1}}) != template_hash({"spec": {"a": 2}})
