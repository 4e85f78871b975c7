"""Revisions of class hpa: what is made for them, and what they say of themselves."""

from __future__ import annotations

import pytest

from eventmesh.autoscale.config import AutoscalerConfig
from eventmesh.autoscale.spec import spec_of
from eventmesh.controllers.autoscaler.resources import UNBOUNDED, horizontal_pod_autoscaler
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import HORIZONTAL_POD_AUTOSCALER, POD_AUTOSCALER, SERVERLESS_SERVICE
from tests.unit.controllers.serving.test_autoscaling import REV, annotated
from tests.unit.controllers.serving.world import World

CLASS = {"class": "hpa.autoscaling.knative.dev"}


def made(**annotations: str) -> Object:
    metadata = {"name": REV, "namespace": "default", "uid": "u", **annotated(**annotations)}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{REV}-deployment"}
    spec = spec_of(metadata["annotations"], AutoscalerConfig(), 0, reachable=True)
    whole = horizontal_pod_autoscaler({"metadata": metadata, "spec": {"scaleTargetRef": target}}, spec)
    made: Object = whole["spec"]
    return made


def test_without_a_target_the_bounds_are_all_that_is_said() -> None:
    spec = made()
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, UNBOUNDED)
    assert "metrics" not in spec
    assert "behavior" not in spec


@pytest.mark.parametrize(
    ("metric", "target", "kind", "goal"),
    [
        ("cpu", "69.5", "resource", {"type": "Utilization", "averageUtilization": 70}),
        ("memory", "200", "resource", {"type": "AverageValue", "averageValue": "200Mi"}),
        ("queue_depth", "5", "pods", {"type": "AverageValue", "averageValue": "5"}),
    ],
)
def test_each_metric_has_its_own_kind_of_target(metric: str, target: str, kind: str, goal: Object) -> None:
    (entry,) = made(metric=metric, target=target)["metrics"]
    assert entry[kind]["target"] == goal


def test_bounds_and_window_are_handed_on() -> None:
    spec = made(min_scale="2", max_scale="5", window="90s")
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert {rules["stabilizationWindowSeconds"] for rules in spec["behavior"].values()} == {90}


async def test_a_revision_of_class_hpa_is_served_directly_and_scaled_by_kubernetes(world: World) -> None:
    await world.deploy(metadata=annotated(**CLASS, metric="cpu", target="70", max_scale="4"))
    await world.ready()
    horizontal = await world.get(HORIZONTAL_POD_AUTOSCALER, REV)
    assert horizontal["spec"]["maxReplicas"] == 4
    assert horizontal["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
    assert (await world.get(SERVERLESS_SERVICE, REV))["spec"]["mode"] == "Serve"
    status = {"currentReplicas": 1, "desiredReplicas": 3}
    await world.api.patch(HORIZONTAL_POD_AUTOSCALER, REV, {"status": status}, "default", subresource="status")
    told = await world.until(POD_AUTOSCALER, REV, lambda obj: bool(obj["status"].get("desiredScale") == 3))
    assert told["status"]["actualScale"] == 1
    await world.until_condition(POD_AUTOSCALER, REV, "Ready", "True")


async def test_a_revision_of_class_kpa_has_no_horizontal_autoscaler(world: World) -> None:
    await world.deploy()
    await world.ready()
    with pytest.raises(ApiError) as missing:
        await world.get(HORIZONTAL_POD_AUTOSCALER, REV)
    assert missing.value.not_found
