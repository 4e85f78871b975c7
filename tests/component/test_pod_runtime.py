"""Objects in, processes out: the embedded API, the workload controllers and the runtime together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from eventmesh.cluster.runtime.logs import LogQuery
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, ENDPOINTS, EVENT, POD, SERVICE
from tests.component.pod_cluster import Cluster, bare, deployment, is_ready, running, sharing
from tests.waiting import END_WAIT_S

FOLLOWED = LogQuery(follow=True)


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running(tmp_path / "data") as cluster:
        yield cluster


async def test_a_deployment_runs_scales_rolls_and_ends(cluster: Cluster, tmp_path: Path) -> None:
    cluster.image(tmp_path / "hello", "hello", "import time; time.sleep(600)")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"selector": {"app": "hello"}, "ports": [{"port": 80, "targetPort": "http"}]},
    }
    await cluster.api.create(SERVICE, service, "default")
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/hello", "one"), "default")
    (pod,) = await cluster.until(POD, lambda pods: len(pods) == 1 and is_ready(pods[0]))
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["containerStatuses"][0]["imageID"] == cluster.images.find("dev.local/hello").reference

    slices = await cluster.until(ENDPOINT_SLICE, lambda found: any(_ready_addresses(item) for item in found))
    assert _ready_addresses(slices[0]) == [pod["status"]["podIP"]]
    assert slices[0]["ports"] == [{"port": 8080, "protocol": "TCP"}]
    legacy = await cluster.until(ENDPOINTS, lambda found: any(item["subsets"] for item in found))
    assert [address["ip"] for address in legacy[0]["subsets"][0]["addresses"]] == [pod["status"]["podIP"]]

    await cluster.api.patch(DEPLOYMENT, "hello", {"spec": {"replicas": 3}}, "default")
    await cluster.until(POD, lambda pods: sum(map(is_ready, pods)) == 3)
    (found,) = await cluster.until(
        DEPLOYMENT, lambda items: (items[0].get("status") or {}).get("availableReplicas") == 3
    )
    await cluster.api.replace(DEPLOYMENT, {**found, "spec": deployment("dev.local/hello", "two", 3)["spec"]})
    await cluster.until(
        POD, lambda pods: sum(is_ready(pod) and _version(pod) == "two" for pod in pods) == 3 == len(pods)
    )

    await cluster.api.delete(DEPLOYMENT, "hello", "default")
    await cluster.until(POD, lambda pods: not pods)
    assert not any((tmp_path / "data" / "pods").iterdir())


async def test_an_unknown_image_is_told_in_the_pod_and_runs_once_it_is_added(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/late", "one"), "default")
    (pod,) = await cluster.until(POD, lambda pods: bool(pods) and "ErrImagePull" in str(pods[0]))
    waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
    assert "unknown image 'dev.local/late'" in waiting["message"]
    cluster.image(tmp_path / "late", "late", "import time; time.sleep(600)")
    await cluster.until(POD, lambda pods: is_ready(pods[0]))


async def test_a_crash_is_told_with_exit_code_and_last_words_and_restarted(cluster: Cluster, tmp_path: Path) -> None:
    cluster.image(tmp_path / "crash", "crash", "import sys; print('no database', flush=True); sys.exit(3)")
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/crash", "one"), "default")
    (pod,) = await cluster.until(POD, lambda pods: bool(pods) and "CrashLoopBackOff" in str(pods[0]))
    (status,) = pod["status"]["containerStatuses"]
    last = status["lastState"]["terminated"]
    assert (last["exitCode"], last["message"], status["restartCount"]) == (3, "no database", 1)
    assert not is_ready(pod)
    assert await cluster.log(pod) == "no database\n"


async def test_variables_come_from_objects_and_a_missing_one_is_waited_for(cluster: Cluster, tmp_path: Path) -> None:
    cluster.image(
        tmp_path / "hello", "hello", "import os, time; print(os.environ['GREETING'], flush=True); time.sleep(600)"
    )
    variable = {"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "hello"}}}
    await cluster.api.create(DEPLOYMENT, deployment("dev.local/hello", "one", env=(variable,)), "default")
    (pod,) = await cluster.until(POD, lambda pods: bool(pods) and "CreateContainerConfigError" in str(pods[0]))
    assert "ConfigMap default/words does not exist" in str(pod["status"])
    words = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"hello": "servus"}}
    await cluster.api.create(CONFIG_MAP, words, "default")
    await cluster.until(POD, lambda pods: is_ready(pods[0]))
    while not (text := await cluster.log(pod)):
        await asyncio.sleep(0.005)
    assert text == "servus\n"


async def test_a_pod_that_is_no_service_ends_by_itself(cluster: Cluster, tmp_path: Path) -> None:
    cluster.image(tmp_path / "job", "job", "print('done')")
    spec = {"containers": [{"name": "job", "image": "dev.local/job"}], "restartPolicy": "Never"}
    metadata = {"name": "job", "annotations": {"eventmesh.io/inject": "false"}}
    await cluster.api.create(POD, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, "default")
    (pod,) = await cluster.until(POD, lambda pods: bool(pods) and pods[0]["status"]["phase"] == "Succeeded")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert await cluster.log(pod) == "done\n"
    await cluster.api.delete(POD, "job", "default")
    await cluster.until(POD, lambda pods: not pods)


async def test_pods_run_again_after_the_cluster_was_restarted(tmp_path: Path) -> None:
    pids: set[str] = set()
    uids: set[str] = set()
    for life in (1, 2):
        cluster = Cluster(tmp_path / "data")
        await cluster.start()
        if life == 1:
            cluster.image(tmp_path / "hello", "hello", "import os, time; print(os.getpid()); time.sleep(600)")
            await cluster.api.create(DEPLOYMENT, deployment("dev.local/hello", "one"), "default")
        (pod,) = await cluster.until(POD, lambda pods: bool(pods) and is_ready(pods[0]))
        while not (pid := await cluster.log(pod)) or pid in pids:
            await asyncio.sleep(0.005)
        pids.add(pid)
        uids.add(pod["metadata"]["uid"])
        await cluster.stop()
        assert not Path(f"/proc/{int(pid)}").exists()
    assert (len(pids), len(uids)) == (2, 1)


async def test_a_container_that_does_not_exist_has_no_log(cluster: Cluster) -> None:
    try:
        cluster.agent.read_log("default", "nobody", "", LogQuery())
    except ApiError as error:
        assert error.code == 400
    else:
        raise AssertionError


def _ready_addresses(item: Object) -> list[str]:
    return [e["addresses"][0] for e in item["endpoints"] if e["conditions"]["ready"]]


def _version(pod: Object) -> str:
    return str(pod["spec"]["containers"][0]["env"][0]["value"])


async def test_a_pod_without_sidecar_is_ready_when_its_probe_is_answered(cluster: Cluster, tmp_path: Path) -> None:
    program = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if os.path.exists(os.environ["MARK"]) else 503)
        self.end_headers()
http.server.HTTPServer((os.environ["IP"], int(os.environ["PORT"])), Handler).serve_forever()
"""
    cluster.image(tmp_path / "slow", "slow", program)
    (tmp_path / "marks").mkdir()
    mark = tmp_path / "marks" / "mark"
    address = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    wanted = deployment("dev.local/slow", "one", env=(address, {"name": "MARK", "value": str(mark)}))
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    template = wanted["spec"]["template"]
    template["spec"]["containers"][0]["readinessProbe"] = probe
    template["spec"] = sharing(template["spec"], mark.parent)
    await cluster.api.create(DEPLOYMENT, wanted, "default")
    (pod,) = await cluster.until(POD, lambda pods: bool(pods) and "running" in str(pods[0].get("status")))
    assert not is_ready(pod)
    mark.touch()
    await cluster.until(POD, lambda pods: is_ready(pods[0]))


async def test_what_a_process_cannot_have_is_told_in_the_pod(cluster: Cluster, tmp_path: Path) -> None:
    cluster.image(tmp_path / "hello", "hello", "import time; time.sleep(600)")
    wanted = deployment("dev.local/hello", "one")
    spec = wanted["spec"]["template"]["spec"]
    spec["volumes"] = [{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}]
    spec["containers"][0]["volumeMounts"] = [{"name": "disk", "mountPath": "/disk"}]
    await cluster.api.create(DEPLOYMENT, wanted, "default")
    (pod,) = await cluster.until(POD, lambda pods: bool(pods) and "CreateContainerConfigError" in str(pods[0]))
    assert "volumes disk: persistentVolumeClaim is not supported" in str(pod["status"])


async def test_pull_secrets_that_do_not_exist_are_told_and_hold_up_nothing(cluster: Cluster, tmp_path: Path) -> None:
    cluster.image(tmp_path / "hello", "hello", "import time; time.sleep(600)")
    pod = bare("p", {"image": "dev.local/hello"}, imagePullSecrets=[{"name": "registry"}])
    await cluster.api.create(POD, pod, "default")
    await cluster.until(POD, lambda pods: bool(pods) and is_ready(pods[0]))
    (event,) = await cluster.until(EVENT, bool)
    assert (event["type"], event["reason"]) == ("Warning", "FailedToRetrieveImagePullSecret")
    assert "(registry)" in event["message"]


async def test_what_a_finished_pod_said_is_there_after_a_restart_until_the_pod_is_deleted(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as cluster:
        cluster.image(tmp_path / "job", "job", "print('done')")
        await cluster.api.create(POD, bare("job", {"image": "dev.local/job"}, restartPolicy="Never"), "default")
        await cluster.until(POD, lambda pods: bool(pods) and pods[0]["status"]["phase"] == "Succeeded")
    async with running(tmp_path / "data") as cluster:
        (pod,) = await cluster.until(POD, bool)
        assert pod["status"]["phase"] == "Succeeded"
        assert await cluster.log(pod) == "done\n"
        assert b"".join([part async for part in cluster.agent.read_log("default", "job", "", FOLLOWED)]) == b"done\n"
        await cluster.api.delete(POD, "job", "default")
        await cluster.until(POD, lambda pods: not pods)
        async with asyncio.timeout(END_WAIT_S):
            while any((tmp_path / "data" / "pods").iterdir()):
                await asyncio.sleep(0.01)


async def test_hooks_run_after_the_start_and_before_the_end(cluster: Cluster, tmp_path: Path) -> None:
    program = """
import pathlib, signal, sys, time
marks = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0 if (marks / "stopping").exists() else 1))
(marks / "running").touch()
time.sleep(600)
"""
    cluster.image(tmp_path / "app", "app", program)
    marks = tmp_path / "marks"
    marks.mkdir()
    wait = f"until test -e {marks}/running; do sleep 0.01; done; touch {marks}/started"
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", wait]}},
        "preStop": {"exec": {"command": ["touch", str(marks / "stopping")]}},
    }
    container = {"image": "dev.local/app", "args": [str(marks)], "lifecycle": hooks}
    pod = bare("p", container, terminationGracePeriodSeconds=30)
    await cluster.api.create(POD, {**pod, "spec": sharing(pod["spec"], marks)}, "default")
    async with asyncio.timeout(END_WAIT_S):
        while not (marks / "started").exists():
            await asyncio.sleep(0.01)
        await cluster.api.delete(POD, "p", "default")
        await cluster.until(POD, lambda pods: not pods)
    assert (marks / "stopping").exists()


async def test_a_hook_that_fails_after_the_start_ends_the_container_and_is_told(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.image(tmp_path / "app", "app", "import time; time.sleep(600)")
    hook = {"exec": {"command": ["sh", "-c", "echo no; exit 1"]}}
    container = {"image": "dev.local/app", "lifecycle": {"postStart": hook}}
    await cluster.api.create(POD, bare("p", container, restartPolicy="Never"), "default")
    async with asyncio.timeout(END_WAIT_S):
        (pod,) = await cluster.until(POD, lambda pods: bool(pods) and pods[0]["status"]["phase"] == "Failed")
        (event,) = await cluster.until(EVENT, bool)
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 143
    assert (event["reason"], event["message"]) == ("FailedPostStartHook", "PostStartHook failed: no")
