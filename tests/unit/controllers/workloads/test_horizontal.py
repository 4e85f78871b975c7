"""HorizontalPodAutoscalers over the real embedded API, in virtual time; tests play the runtime and its measuring."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.base.clock import rfc3339
from eventmesh.cluster.api.builtin.metrics import metrics_kinds
from eventmesh.controllers.workloads.horizontal import INITIALIZATION_S, SYNC_S
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import DEPLOYMENT, EVENT, HORIZONTAL_POD_AUTOSCALER, POD
from eventmesh.kube.status import condition
from tests.unit.controllers.workloads.cluster import Cluster, deployment


class Scene:
    """A Deployment under an autoscaler, with pods that use what the test says."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.cores = 0.05
        self._pods: list[str] = []
        for kind in metrics_kinds(self._metrics, list):
            cluster.embedded.catalog.add(kind)

    def _metrics(self) -> list[Object]:
        now = rfc3339(self.cluster.clock.now())
        usage = {"cpu": f"{round(self.cores * 1e9)}n", "memory": "65536Ki"}
        return [
            {
                "metadata": {"name": name, "namespace": "default"},
                "timestamp": now,
                "window": "15.000s",
                "containers": [{"name": "app", "usage": usage}],
            }
            for name in self._pods
        ]

    async def deploy(self, replicas: int, request: str | None = "100m", **spec: Any) -> None:
        wanted = deployment("dev.local/a", replicas)
        if request:
            pod = wanted["spec"]["template"]["spec"]
            pod["containers"][0]["resources"] = {"requests": {"cpu": request, "memory": "64Mi"}}
        await self.cluster.api.create(DEPLOYMENT, wanted, "default")
        await self.run_pods()
        # Old enough for their processor time to count.
        await self.cluster.clock.advance(INITIALIZATION_S + 1.0)
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}
        autoscaler = {
            "metadata": {"name": "hello"},
            "spec": {"scaleTargetRef": reference, "maxReplicas": 10, **spec},
        }
        await self.cluster.api.create(HORIZONTAL_POD_AUTOSCALER, autoscaler, "default")
        await self.cluster.all(HORIZONTAL_POD_AUTOSCALER)

    async def run_pods(self) -> None:
        now = rfc3339(self.cluster.clock.now())
        for pod in await self.cluster.pods():
            if pod["status"]["phase"] == "Pending":
                ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
                status = {"phase": "Running", "startTime": now, "conditions": [ready]}
                name = pod["metadata"]["name"]
                await self.cluster.api.patch(POD, name, {"status": status}, "default", subresource="status")
        self._pods = [pod["metadata"]["name"] for pod in await self.cluster.pods()]

    async def after(self, seconds: float) -> Object:
        """Let time pass, with every new pod running at once; return the autoscaler."""
        for _ in range(round(seconds / SYNC_S)):
            await self.cluster.clock.advance(SYNC_S)
            await self.cluster.remove()
            await self.run_pods()
        (found,) = await self.cluster.all(HORIZONTAL_POD_AUTOSCALER)
        return found

    async def replicas(self) -> int:
        replicas: int = (await self.cluster.deployment())["spec"]["replicas"]
        return replicas


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    cluster = Cluster(tmp_path)
    await cluster.start()
    yield Scene(cluster)
    await cluster.stop()


def said(obj: Object, kind: str) -> tuple[str, str]:
    found = condition(obj, kind)
    assert found is not None, obj.get("status")
    return found["status"], found["reason"]


async def test_pods_come_with_the_load_and_go_five_minutes_after_it(scene: Scene) -> None:
    await scene.deploy(2)
    scene.cores = 0.16
    found = await scene.after(SYNC_S)
    assert await scene.replicas() == 4
    assert said(found, "ScalingActive") == ("True", "ValidMetricFound")
    current = found["status"]["currentMetrics"][0]["resource"]["current"]
    assert current == {"averageValue": "160m", "averageUtilization": 160}
    messages = [event["message"] for event in await scene.cluster.all(EVENT) if event["reason"] == "SuccessfulRescale"]
    assert messages == ["New size: 4; reason: cpu resource utilization (percentage of request) above target"]
    scene.cores = 0.02
    found = await scene.after(120.0)
    assert await scene.replicas() == 4
    assert said(found, "AbleToScale") == ("True", "ScaleDownStabilized")
    await scene.after(240.0)
    assert await scene.replicas() == 1


async def test_the_most_is_the_most(scene: Scene) -> None:
    await scene.deploy(3, maxReplicas=4)
    scene.cores = 10.0
    found = await scene.after(2 * SYNC_S)
    assert await scene.replicas() == 4
    assert said(found, "ScalingLimited") == ("True", "TooManyReplicas")


async def test_a_target_outside_the_bounds_is_brought_within_without_looking(scene: Scene) -> None:
    await scene.deploy(1, minReplicas=3)
    assert await scene.replicas() == 3


async def test_a_target_at_zero_is_left_alone(scene: Scene) -> None:
    await scene.deploy(0)
    found = await scene.after(SYNC_S)
    assert await scene.replicas() == 0
    assert said(found, "ScalingActive") == ("False", "ScalingDisabled")


async def test_memory_is_a_metric_too(scene: Scene) -> None:
    target = {"type": "AverageValue", "averageValue": "32Mi"}
    await scene.deploy(2, metrics=[{"type": "Resource", "resource": {"name": "memory", "target": target}}])
    await scene.after(SYNC_S)
    assert await scene.replicas() >= 4


async def test_a_missing_request_is_told_with_container_and_pod(scene: Scene) -> None:
    await scene.deploy(2, request=None)
    found = await scene.after(SYNC_S)
    assert said(found, "ScalingActive") == ("False", "FailedGetResourceMetric")
    failure = condition(found, "ScalingActive")
    assert failure is not None
    assert "missing request for cpu in container app of Pod hello-" in failure["message"]
    assert await scene.replicas() == 2


async def test_an_unknown_target_is_told(scene: Scene) -> None:
    await scene.deploy(1, scaleTargetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"})
    found = await scene.after(SYNC_S)
    assert said(found, "AbleToScale") == ("False", "FailedGetScale")


async def test_metrics_that_nobody_serves_are_told(scene: Scene) -> None:
    metric = {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"}}}
    await scene.deploy(1, metrics=[metric])
    assert said(await scene.after(SYNC_S), "ScalingActive") == ("False", "FailedGetExternalMetric")


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"maxReplicas": 0}, "spec.maxReplicas: Invalid value: 0: must be greater than 0"),
        ({"minReplicas": 5, "maxReplicas": 4}, "must be greater than or equal to `minReplicas`"),
        ({"minReplicas": 0}, "spec.minReplicas: Invalid value: 0"),
        ({"scaleTargetRef": {"kind": "Deployment"}}, "spec.scaleTargetRef.name: Required value"),
        ({"behavior": {"scaleUp": {"selectPolicy": "Most"}}}, "spec.behavior.scaleUp.selectPolicy: Unsupported value"),
        ({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 4000}}}, "must be between 0 and 3600"),
        (
            {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 15}]}}},
            "spec.behavior.scaleUp.policies[0].value: Invalid value: 0",
        ),
    ],
)
async def test_what_cannot_be_done_is_refused_by_field(scene: Scene, spec: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ApiError) as refused:
        await scene.deploy(1, **spec)
    assert refusal in refused.value.message
