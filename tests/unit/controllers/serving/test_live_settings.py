"""Settings that change while everything runs, over the embedded API."""

from __future__ import annotations

import pytest

from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import CONFIG_MAP, DEPLOYMENT, KSERVICE
from tests.unit.controllers.serving.world import World

SYSTEM = "knative-serving"


def container(deployment: Object, name: str) -> Object:
    found: Object = next(c for c in deployment["spec"]["template"]["spec"]["containers"] if c["name"] == name)
    return found


async def deployment(world: World, revision: str = "hello-00001") -> Object:
    return await world.until(DEPLOYMENT, f"{revision}-deployment", lambda obj: True)


async def test_defaults_are_those_of_the_moment_a_service_is_written(world: World) -> None:
    await world.deploy("before")
    await world.configure(
        "config-defaults",
        {
            "revision-timeout-seconds": "120",
            "revision-idle-timeout-seconds": "30",
            "container-concurrency": "7",
            "revision-memory-limit": "64Mi",
            "container-name-template": "{{.Name}}-app",
            "enable-service-links": "true",
        },
    )
    await world.until_setting(lambda settings: settings.defaults.timeout_s == 120)
    spec = (await world.deploy("after"))["spec"]["template"]["spec"]
    assert (spec["timeoutSeconds"], spec["idleTimeoutSeconds"], spec["containerConcurrency"]) == (120, 30, 7)
    assert spec["enableServiceLinks"] is True
    assert spec["containers"][0]["name"] == "after-app"
    assert spec["containers"][0]["resources"] == {"limits": {"memory": "64Mi"}}
    kept = (await world.get(KSERVICE, "before"))["spec"]["template"]["spec"]
    assert (kept["timeoutSeconds"], kept["containerConcurrency"]) == (300, 0)
    pods = (await deployment(world, "after-00001"))["spec"]["template"]["spec"]
    assert pods["terminationGracePeriodSeconds"] == 120


async def test_a_default_that_a_revisions_own_timeout_leaves_no_room_for_says_nothing(world: World) -> None:
    await world.configure("config-defaults", {"revision-idle-timeout-seconds": "30"})
    await world.until_setting(lambda settings: settings.defaults.idle_timeout_s == 30)
    service = await world.deploy(spec={"containers": [{"image": "dev.local/hello"}], "timeoutSeconds": 20})
    assert "idleTimeoutSeconds" not in service["spec"]["template"]["spec"]


async def test_the_deployments_of_revisions_follow_config_deployment(world: World) -> None:
    await world.deploy()
    before = await deployment(world)
    assert before["spec"]["progressDeadlineSeconds"] == 600
    assert container(before, "queue-proxy")["resources"] == {"requests": {"cpu": "25m"}}
    await world.configure(
        "config-deployment",
        {"progress-deadline": "2m", "queue-sidecar-cpu-request": "50m", "queue-sidecar-memory-limit": "800Mi"},
    )
    after = await world.until(
        DEPLOYMENT, "hello-00001-deployment", lambda obj: bool(obj["spec"]["progressDeadlineSeconds"] == 120)
    )
    assert container(after, "queue-proxy")["resources"] == {"requests": {"cpu": "50m"}, "limits": {"memory": "800Mi"}}


async def test_a_revision_sizes_its_own_sidecar(world: World) -> None:
    annotations = {
        "queue.sidecar.serving.knative.dev/cpu-resource-request": "1",
        "queue.sidecar.serving.knative.dev/memory-resource-limit": "1Gi",
    }
    await world.deploy(metadata={"annotations": annotations})
    sidecar = container(await deployment(world), "queue-proxy")
    assert sidecar["resources"] == {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}


async def test_a_sidecar_has_a_share_of_its_function_within_bounds(world: World) -> None:
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "4", "memory": "1Gi"}}
    annotations = {"queue.sidecar.serving.knative.dev/resource-percentage": "5"}
    spec = {"containers": [{"image": "dev.local/hello", "resources": resources}]}
    await world.deploy(spec=spec, metadata={"annotations": annotations})
    sidecar = container(await deployment(world), "queue-proxy")
    assert sidecar["resources"] == {
        "requests": {"cpu": "50m", "memory": f"{1024**3 // 20 * 1000 + 200}m"},
        "limits": {"cpu": "200m", "memory": "200Mi"},
    }


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("resource-percentage", "101", "expected 0.1 <= 101 <= 100"),
        ("resource-percentage", "much", "invalid value: much"),
        ("cpu-resource-limit", "much", "invalid value: much"),
        ("cpu-limit", "1", 'invalid key name "queue.sidecar.serving.knative.dev/cpu-limit"'),
    ],
)
async def test_a_sidecar_of_no_size_is_refused(world: World, key: str, value: str, told: str) -> None:
    annotation = f"queue.sidecar.serving.knative.dev/{key}"
    with pytest.raises(ApiError) as refused:
        await world.deploy(metadata={"annotations": {annotation: value}})
    assert told in refused.value.message and annotation in refused.value.message


async def test_a_feature_opens_a_field_as_soon_as_it_is_allowed(world: World) -> None:
    spec = {"containers": [{"image": "dev.local/hello"}], "nodeSelector": {"disk": "fast"}}
    with pytest.raises(ApiError, match=r"must not set the field\(s\): spec.template.spec.nodeSelector"):
        await world.deploy(spec=spec)
    await world.configure("config-features", {"kubernetes.podspec-nodeselector": "Allowed"})
    await world.until_setting(lambda settings: "kubernetes.podspec-nodeselector" in settings.features)
    assert (await world.deploy(spec=spec))["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "fast"}


async def test_a_setting_that_does_not_parse_is_refused_and_the_former_one_stays(world: World) -> None:
    await world.configure("config-defaults", {"revision-timeout-seconds": "120"})
    await world.until_setting(lambda settings: settings.defaults.timeout_s == 120)
    with pytest.raises(ApiError) as refused:
        await world.configure("config-defaults", {"revision-timeout-seconds": "soon"})
    assert refused.value.message == (
        'admission webhook "config.webhook.serving.knative.dev" denied the request: validation failed: '
        "config-defaults.revision-timeout-seconds: "
        'failed to parse "revision-timeout-seconds": strconv.ParseInt: parsing "soon": invalid syntax'
    )
    assert (await world.deploy())["spec"]["template"]["spec"]["timeoutSeconds"] == 120


async def test_a_key_that_changes_nothing_is_told_beside_its_map(world: World) -> None:
    await world.configure("config-defaults", {"revision-timeout-secnods": "5"})
    event = await world.until_event(SYSTEM, "config-defaults", "NoEffect")
    assert event["message"] == "without effect here: revision-timeout-secnods"
    stored = await world.api.get(CONFIG_MAP, "config-defaults", SYSTEM)
    assert stored["data"] == {"revision-timeout-secnods": "5"}
