from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.cluster.api.applying import apply
from eventmesh.cluster.api.builtin.autoscaling_v1 import (
    BEHAVIOR,
    CONDITIONS,
    CURRENT_METRICS,
    METRICS,
    AutoscalerView,
)
from eventmesh.cluster.api.structural import clone
from eventmesh.cluster.api.writing import WriteOptions
from eventmesh.kube.api import ApiError, EventType, Object, PatchType, Resource
from eventmesh.kube.resources import HORIZONTAL_POD_AUTOSCALER as NEWER
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock

OLDER = Resource("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
TARGET = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
MEMORY = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}
SELECTOR = {"matchLabels": {"queue": "orders"}}


def processor(percent: int) -> Object:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def older(**spec: object) -> Object:
    return {"metadata": {"name": "web"}, "spec": {"scaleTargetRef": TARGET, "maxReplicas": 5, **spec}}


RICH: Object = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "annotations": {"note": "kept"}},
    "spec": {
        "scaleTargetRef": TARGET,
        "minReplicas": 2,
        "maxReplicas": 9,
        "behavior": {
            "scaleUp": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}], "tolerance": "50m"},
            "scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Disabled"},
        },
        "metrics": [
            MEMORY,
            {
                "type": "ContainerResource",
                "containerResource": {
                    "name": "cpu",
                    "container": "app",
                    "target": {"type": "Utilization", "averageUtilization": 60},
                },
            },
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "asked", "selector": SELECTOR},
                    "target": {"type": "AverageValue", "averageValue": "100"},
                },
            },
            {
                "type": "Object",
                "object": {
                    "describedObject": {"kind": "Ingress", "name": "shop"},
                    "metric": {"name": "hits"},
                    "target": {"type": "AverageValue", "averageValue": "10"},
                },
            },
            {
                "type": "External",
                "external": {
                    "metric": {"name": "length", "selector": SELECTOR},
                    "target": {"type": "Value", "value": "30"},
                },
            },
            processor(70),
        ],
    },
    "status": {
        "currentReplicas": 3,
        "desiredReplicas": 4,
        "conditions": [{"type": "AbleToScale", "status": "True"}],
        "currentMetrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "current": {"averageUtilization": 81, "averageValue": "162m"}},
            }
        ],
    },
}


def test_what_the_older_version_cannot_say_stands_in_annotations() -> None:
    shown = AutoscalerView().shown(RICH)
    spec = {"scaleTargetRef": TARGET, "minReplicas": 2, "maxReplicas": 9, "targetCPUUtilizationPercentage": 70}
    assert shown["spec"] == spec
    assert shown["status"] == {"currentReplicas": 3, "desiredReplicas": 4, "currentCPUUtilizationPercentage": 81}
    annotations = shown["metadata"]["annotations"]
    assert annotations["note"] == "kept"
    memory, container, pods, described, external = json.loads(annotations[METRICS])
    assert memory == {"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}}
    assert container["containerResource"] == {"name": "cpu", "container": "app", "targetAverageUtilization": 60}
    assert pods["pods"] == {"metricName": "asked", "targetAverageValue": "100", "selector": SELECTOR}
    assert described["object"] == {
        "target": {"kind": "Ingress", "name": "shop"},
        "metricName": "hits",
        "averageValue": "10",
    }
    assert external["external"] == {"metricName": "length", "metricSelector": SELECTOR, "targetValue": "30"}
    resource = {"name": "cpu", "currentAverageUtilization": 81, "currentAverageValue": "162m"}
    assert json.loads(annotations[CURRENT_METRICS]) == [{"type": "Resource", "resource": resource}]
    assert json.loads(annotations[CONDITIONS]) == [{"type": "AbleToScale", "status": "True"}]
    assert json.loads(annotations[BEHAVIOR])["ScaleDown"] == {
        "StabilizationWindowSeconds": 0,
        "SelectPolicy": "Disabled",
    }
    assert annotations["autoscaling.alpha.kubernetes.io/scale-up-tolerance"] == "50m"


def test_nothing_is_lost_on_the_way_there_and_back() -> None:
    view = AutoscalerView()
    assert view.stored(view.shown(RICH)) == RICH
    plain = {**RICH, "metadata": {"name": "web"}, "spec": {"scaleTargetRef": TARGET, "metrics": [processor(5)]}}
    del plain["status"]
    assert "annotations" not in view.shown(plain)["metadata"]
    assert view.stored(view.shown(plain)) == plain


@given(
    st.dictionaries(
        st.sampled_from([METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR]),
        st.one_of(
            st.text(),
            st.recursive(
                st.none() | st.integers() | st.text(),
                lambda inner: (
                    st.lists(inner)
                    | st.dictionaries(st.sampled_from(["type", "resource", "object", "target", "scaleUp"]), inner)
                ),
            ).map(json.dumps),
        ),
    )
)
def test_annotations_of_any_text_are_read_without_harm(annotations: dict[str, str]) -> None:
    view = AutoscalerView()
    obj = {**older(), "status": {}, "metadata": {"name": "web", "annotations": annotations}}
    view.shown(view.stored(obj))


async def test_an_autoscaler_of_either_version_is_seen_in_both(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        created = await api.create(OLDER, older(targetCPUUtilizationPercentage=70), "default")
        assert created["apiVersion"] == "autoscaling/v1"
        assert created["spec"] == {**older()["spec"], "minReplicas": 1, "targetCPUUtilizationPercentage": 70}
        stored = await api.get(NEWER, "web", "default")
        assert (stored["spec"]["metrics"], stored["metadata"]["uid"]) == ([processor(70)], created["metadata"]["uid"])
        await api.patch(NEWER, "web", {"spec": {"metrics": [MEMORY, processor(50)]}}, "default")
        shown = await api.get(OLDER, "web", "default")
        assert shown["spec"]["targetCPUUtilizationPercentage"] == 50
        await api.patch(OLDER, "web", {"spec": {"maxReplicas": 7}}, "default")
        changed = (await api.get(NEWER, "web", "default"))["spec"]
        assert (changed["maxReplicas"], changed["metrics"]) == (7, [MEMORY, processor(50)])
        events = api.watch(OLDER, "default")
        first = await anext(events)
        assert first.type is EventType.ADDED and first.object["apiVersion"] == "autoscaling/v1"
        await api.delete(OLDER, "web", "default")
        with pytest.raises(ApiError, match="not found"):
            await api.get(NEWER, "web", "default")


async def test_who_names_no_target_gets_that_of_kubernetes(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        created = await cluster.in_process().create(OLDER, older(), "default")
        assert created["spec"]["targetCPUUtilizationPercentage"] == 80


async def test_its_status_is_written_in_either_version(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        created = await api.create(OLDER, older(), "default")
        status = {"currentReplicas": 2, "desiredReplicas": 2, "currentCPUUtilizationPercentage": 33}
        spec = {**created["spec"], "maxReplicas": 99}
        await api.replace(OLDER, {**created, "spec": spec, "status": status}, subresource="status")
        stored = await api.get(NEWER, "web", "default")
        (metric,) = stored["status"]["currentMetrics"]
        assert metric["resource"] == {"name": "cpu", "current": {"averageUtilization": 33}}
        assert stored["spec"]["maxReplicas"] == 5 and stored["metadata"]["generation"] == 1


async def test_fields_have_one_owner_in_both_versions(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        served = {version: cluster.catalog.find("autoscaling", version, OLDER.plural) for version in ("v1", "v2")}
        first, second = served["v1"], served["v2"]
        assert first is not None and second is not None
        ann = WriteOptions(user="u", manager="ann")
        config = {"apiVersion": "autoscaling/v1", "kind": OLDER.kind, **older(targetCPUUtilizationPercentage=70)}
        written, is_new = apply(cluster.registry, first, clone(config), "web", "default", ann)
        assert is_new and written.object["spec"]["targetCPUUtilizationPercentage"] == 70
        newer = {"apiVersion": "autoscaling/v2", "kind": OLDER.kind, **older(metrics=[processor(20)])}
        with pytest.raises(ApiError, match=r'conflict with "ann": \.spec\.metrics'):
            apply(cluster.registry, second, clone(newer), "web", "default", WriteOptions(user="u", manager="bob"))
        written, is_new = apply(cluster.registry, second, clone(newer), "web", "default", ann)
        assert not is_new and written.object["spec"]["metrics"] == [processor(20)]


@pytest.mark.parametrize(
    ("resource", "spec", "complaint"),
    [
        (OLDER, {"targetCPUUtilizationPercentage": "70"}, r"spec\.targetCPUUtilizationPercentage .* of type integer"),
        (OLDER, {"targetCPUUtilizationPercentage": 0}, r"averageUtilization: .*must be greater than 0"),
        (NEWER, {"minReplicas": "2"}, r"spec\.minReplicas .* of type integer"),
        (NEWER, {"metrics": 5}, r"spec\.metrics .* of type array"),
        (NEWER, {"metrics": [5]}, r"spec\.metrics\[0\] .* of type object"),
        (NEWER, {"scaleTargetRef": 4}, r"spec\.scaleTargetRef .* of type object"),
        (NEWER, {"behavior": {"scaleUp": {"stabilizationWindowSeconds": "x"}}}, r"WindowSeconds .* of type integer"),
    ],
)
async def test_a_value_of_the_wrong_type_is_refused_by_field(
    tmp_path: Path, resource: Resource, spec: Object, complaint: str
) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        with pytest.raises(ApiError, match=complaint):
            await api.create(resource, older(**spec), "default")
        await api.create(resource, older(), "default")
        with pytest.raises(ApiError, match=complaint):
            await api.patch(resource, "web", {"spec": spec}, "default", patch_type=PatchType.MERGE)
