"""kubectl on the objects of a whole mesh: what it creates runs, what it deletes ends."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from eventmesh.kube.resources import POD
from tests.mesh.objects import add_function, until_none
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

FUNCTION = """
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: NAME}
spec:
  template:
    metadata:
      annotations: {autoscaling.knative.dev/min-scale: "1"}
    spec:
      containers: [{image: dev.local/IMAGE}]
"""
EVENTING = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: post}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: letters}
spec:
  broker: post
  subscriber: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: reader}}
"""


@pytest.fixture(scope="module", autouse=True)
def image(shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    add_function(shared_mesh, tmp_path_factory.mktemp("image") / "hello")


def function(name: str, image: str = "hello") -> str:
    return FUNCTION.replace("NAME", name).replace("IMAGE", image)


async def applied(kubectl: CommandLine, name: str) -> str:
    """Apply a function, wait for it, and return the selector of its pods."""
    await kubectl("apply", "-f", "-", stdin=function(name))
    waited = await kubectl("wait", "--for=condition=Ready", f"ksvc/{name}", "--timeout=60s")
    assert waited == f"service.serving.knative.dev/{name} condition met\n"
    return f"serving.knative.dev/service={name}"


async def test_what_is_applied_and_waited_for_answers(shared_mesh: MeshProcess, kubectl: CommandLine) -> None:
    await applied(kubectl, "waited")
    answer = await shared_mesh.get("waited")
    assert (answer.status, answer.body.split()[0]) == (200, "waited-00001")
    heads, row = (await kubectl("get", "ksvc", "waited")).splitlines()
    assert heads.split() == ["NAME", "URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"]
    url = f"http://waited.default.localhost:{shared_mesh.gateway_port}"
    assert row.split() == ["waited", url, "waited-00001", "waited-00001", "True"]


async def test_get_shows_all_that_a_function_is_made_of(kubectl: CommandLine) -> None:
    selector = await applied(kubectl, "whole")
    kinds = "configuration,revision,route,kingress,podautoscaler,sks,deployment,pod"
    names = (await kubectl("get", kinds, "-l", selector, "-o", "name")).split()
    assert {name.partition("/")[0] for name in names} == {
        "configuration.serving.knative.dev",
        "revision.serving.knative.dev",
        "route.serving.knative.dev",
        "ingress.networking.internal.knative.dev",
        "podautoscaler.autoscaling.internal.knative.dev",
        "serverlessservice.networking.internal.knative.dev",
        "deployment.apps",
        "pod",
    }
    (pod,) = (await kubectl("get", "pod", "-l", selector, "--no-headers")).splitlines()
    assert pod.split()[1:4] == ["2/2", "Running", "0"]


async def test_logs_show_what_the_function_and_its_sidecar_wrote(
    shared_mesh: MeshProcess, kubectl: CommandLine
) -> None:
    selector = await applied(kubectl, "talks")
    assert (await shared_mesh.get("talks", "/first")).status == 200
    async with asyncio.timeout(WAIT_S):
        while "asked for /first\n" not in await kubectl("logs", "-l", selector):
            pass
    assert "asked for" not in await kubectl("logs", "-l", selector, "-c", "queue-proxy")
    assert "sidecar: serving" in await kubectl("logs", "-l", selector, "-c", "queue-proxy", "--tail=-1")
    assert (await shared_mesh.get("talks", "/last")).status == 200
    async with asyncio.timeout(WAIT_S):
        while await kubectl("logs", "-l", selector, "--tail=1") != "asked for /last\n":
            pass


async def test_logs_follow_a_function_as_it_writes(shared_mesh: MeshProcess, kubectl: CommandLine) -> None:
    selector = await applied(kubectl, "followed")
    following = await kubectl.start("logs", "-f", "-l", selector, "-c", "user-container")
    assert following.stdout is not None
    try:
        assert (await shared_mesh.get("followed", "/now")).status == 200
        async with asyncio.timeout(WAIT_S):
            assert await following.stdout.readline() == b"asked for /now\n"
    finally:
        following.kill()
        await following.communicate()


async def test_exec_and_port_forward_reach_into_the_network_of_the_pod(kubectl: CommandLine) -> None:
    selector = await applied(kubectl, "entered")
    pod = (await kubectl("get", "pod", "-l", selector, "-o", "name")).strip()
    ask = "import os, urllib.request as r; print(r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}').read().decode())"
    assert (await kubectl("exec", pod, "--", "python3", "-c", ask)).split()[0] == "entered-00001"
    # 8080 is the function's, on the pod's own loopback; 8012 its sidecar's, in the network of the host.
    for port in ("8080", "8012"):
        forward = await kubectl.start("port-forward", pod, f":{port}")
        assert forward.stdout is not None
        try:
            async with asyncio.timeout(WAIT_S):
                line = (await forward.stdout.readline()).decode()
                local = re.findall(r"127\.0\.0\.1:(\d+)", line)[0]
                async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{local}/") as response:
                    assert (await response.text()).split()[0] == "entered-00001"
        finally:
            forward.kill()
            await forward.communicate()


async def test_describe_tells_what_happened(kubectl: CommandLine) -> None:
    selector = await applied(kubectl, "told")
    service = await kubectl("describe", "ksvc", "told")
    assert 'Created Configuration "told"' in service and 'Created Route "told"' in service
    deployment = await kubectl("describe", "deployment", "told-00001-deployment")
    assert "ScalingReplicaSet" in deployment and "to 1" in deployment
    pod = await kubectl("describe", "pod", "-l", selector)
    assert "Image ID:       dev.local/hello@sha256:" in pod
    assert "eventmesh.io/NetworkIsolated" in pod


async def test_a_function_that_ends_at_once_says_so_where_its_author_looks(
    shared_mesh: MeshProcess, kubectl: CommandLine, tmp_path: Path
) -> None:
    add_function(shared_mesh, tmp_path / "broken", "broken", "raise SystemExit('no such table: orders')\n")
    await kubectl("apply", "-f", "-", stdin=function("broken", "broken"))
    await kubectl("wait", "--for=condition=Ready=False", "ksvc/broken", "--timeout=60s")
    assert "RevisionFailed" in (await kubectl("get", "ksvc", "broken"))
    assert "no such table: orders" in await kubectl("describe", "ksvc", "broken")


async def test_delete_ends_the_function_and_its_processes(shared_mesh: MeshProcess, kubectl: CommandLine) -> None:
    selector = await applied(kubectl, "away")
    assert await kubectl("delete", "ksvc", "away") == 'service.serving.knative.dev "away" deleted\n'
    await kubectl("wait", "--for=delete", "pod", "-l", selector, "--timeout=60s")
    async with shared_mesh.api() as api:
        await until_none(api, POD, selector)
    assert await kubectl("get", "configuration,revision,route,kingress,deployment", "-l", selector) == ""
    assert (await shared_mesh.get("away")).status == 404


async def test_brokers_and_triggers_are_applied_waited_for_and_deleted(kubectl: CommandLine) -> None:
    await applied(kubectl, "reader")
    await kubectl("apply", "-f", "-", stdin=EVENTING)
    waited = await kubectl("wait", "--for=condition=Ready", "broker/post", "trigger/letters", "--timeout=60s")
    assert waited.count("condition met") == 2
    _, row = (await kubectl("get", "trigger", "letters")).splitlines()
    assert row.split()[1] == "post" and "True" in row.split()
    assert "++" not in await kubectl("describe", "trigger", "letters")
    await kubectl("delete", "-f", "-", stdin=EVENTING)
    assert await kubectl("get", "broker,trigger", "-o", "name") == ""


async def test_one_mesh_is_one_namespace_away_from_another(shared_mesh: MeshProcess, kubectl: CommandLine) -> None:
    await kubectl("create", "namespace", "shop")
    await kubectl("apply", "-n", "shop", "-f", "-", stdin=function("there"))
    await kubectl("wait", "-n", "shop", "--for=condition=Ready", "ksvc/there", "--timeout=60s")
    assert (await shared_mesh.get("there")).status == 404
    await kubectl("delete", "namespace", "shop", "--timeout=60s")
    assert "not found" in (await kubectl.run("get", "ksvc", "there", "-n", "shop")).err
