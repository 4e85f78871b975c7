"""Autoscalers by kubectl: the oldest that is promised speaks `autoscaling/v1`, the newest `autoscaling/v2`."""

from __future__ import annotations

import json

import pytest

from tests.peers.command_line import CommandLine

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

OLDER, NEWER = (f"horizontalpodautoscalers.{version}.autoscaling" for version in ("v1", "v2"))
PROCESSOR = {"type": "Utilization", "averageUtilization": 70}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


async def autoscaled(kubectl: CommandLine) -> None:
    await kubectl("create", "deployment", "web", "--image=dev.local/web")
    said = await kubectl("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu-percent=70")
    assert said == "horizontalpodautoscaler.autoscaling/web autoscaled\n"


async def test_autoscale_makes_what_both_versions_show(kubectl: CommandLine) -> None:
    await autoscaled(kubectl)
    newer = json.loads(await kubectl("get", NEWER, "web", "-o", "json"))
    assert newer["apiVersion"] == "autoscaling/v2"
    assert newer["spec"] == {
        "scaleTargetRef": TARGET,
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": PROCESSOR}}],
    }
    older = json.loads(await kubectl("get", OLDER, "web", "-o", "json"))
    assert older["apiVersion"] == "autoscaling/v1"
    assert older["spec"] == {
        "scaleTargetRef": TARGET,
        "minReplicas": 2,
        "maxReplicas": 5,
        "targetCPUUtilizationPercentage": 70,
    }
    # The newest hides what it was told behind a word on the older version, which it tries next.
    assert (await kubectl.run("autoscale", "deployment", "web", "--max=9")).code == 1
    assert await kubectl("get", "hpa", "web", "-o", "jsonpath={.spec.maxReplicas}") == "5"


async def test_autoscalers_are_printed_alike_in_both_versions(kubectl: CommandLine) -> None:
    await autoscaled(kubectl)
    for kind in ("hpa", OLDER, NEWER):
        heads, row = (await kubectl("get", kind)).splitlines()
        assert heads.split() == ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"]
        assert row.split()[:-1] == ["web", "Deployment/web", "cpu:", "<unknown>/70%", "2", "5", "0"]
    described = await kubectl("describe", "hpa", "web")
    assert "Min replicas:" in described and "/ 70%" in described
    groups = (await kubectl("api-versions")).split()
    assert {"autoscaling/v1", "autoscaling/v2"} <= set(groups)
    assert "targetCPUUtilizationPercentage\t<integer>" in await kubectl(
        "explain", "hpa.spec", "--api-version=autoscaling/v1"
    )


async def test_an_older_manifest_is_applied_changed_and_deleted(kubectl: CommandLine) -> None:
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 3, "targetCPUUtilizationPercentage": 40}
    manifest = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": spec,
    }
    text, changed = (json.dumps({**manifest, "spec": {**spec, "maxReplicas": most}}) for most in (3, 9))
    name = "horizontalpodautoscaler.autoscaling/web"
    assert await kubectl("apply", "-f", "-", stdin=text) == f"{name} created\n"
    assert await kubectl("apply", "-f", "-", stdin=text) == f"{name} unchanged\n"
    assert "+  maxReplicas: 9" in (await kubectl.run("diff", "-f", "-", stdin=changed)).out
    assert await kubectl("apply", "-f", "-", stdin=changed) == f"{name} configured\n"
    path = "jsonpath={.spec.maxReplicas} {.spec.metrics[0].resource.target.averageUtilization}"
    assert await kubectl("get", NEWER, "web", "-o", path) == "9 40"
    assert await kubectl("apply", "--server-side", "-f", "-", stdin=changed) == f"{name} serverside-applied\n"
    await kubectl("delete", "-f", "-", stdin=text)
    assert await kubectl("get", "hpa") == ""


async def test_rules_of_scaling_survive_an_older_client(kubectl: CommandLine) -> None:
    await autoscaled(kubectl)
    calm = {"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 7}}}}
    await kubectl("patch", NEWER, "web", "--type=merge", "-p", json.dumps(calm))
    older = await kubectl("get", OLDER, "web", "-o", "json")
    replaced = older.replace('"maxReplicas": 5', '"maxReplicas": 6')
    assert "replaced" in await kubectl("replace", "-f", "-", stdin=replaced)
    path = "jsonpath={.spec.maxReplicas} {.spec.behavior.scaleDown.stabilizationWindowSeconds}"
    assert await kubectl("get", NEWER, "web", "-o", path) == "6 7"
