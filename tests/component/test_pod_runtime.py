"""Objects in, processes out: the embedded API, the workload controllers and the runtime together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.runtime.agent import PodAgent
from eventmesh.cluster.runtime.images import ImageStore
from eventmesh.cluster.runtime.logs import LogQuery
from eventmesh.cluster.runtime.network import PodAddresses
from eventmesh.cluster.runtime.process import ProcessLauncher
from eventmesh.cluster.store.store import Store
from eventmesh.controllers.workloads.app import WorkloadControllers
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, ENDPOINTS, POD, SERVICE
from eventmesh.kube.status import condition


class Cluster:
    """A cluster without data plane: what is applied runs."""

    def __init__(self, directory: Path) -> None:
        self.clock = SystemClock()
        self.images = ImageStore(directory)
        self.store = Store(directory / "store", self.clock)
        self.embedded = EmbeddedApi(self.store, self.clock)
        self.api: Api = self.embedded.in_process()
        self.informers = Informers(self.api, self.clock)
        self.workloads = WorkloadControllers(self.api, self.informers, self.clock)
        self.launcher = ProcessLauncher.start()
        self.addresses = PodAddresses.reserve()
        self.agent = PodAgent(
            self.api,
            self.informers,
            self.clock,
            launcher=self.launcher,
            addresses=self.addresses,
            images=self.images,
            bootstrap=lambda namespace, name, address: {},
            data_dir=directory,
        )

    async def start(self) -> None:
        await self.embedded.start()
        await self.informers.start()
        self.workloads.start()
        await self.agent.start()

    async def stop(self) -> None:
        await self.workloads.stop()
        await self.agent.stop()
        await self.launcher.stop()
        await self.informers.stop()
        await self.embedded.stop()
        self.store.close()
        self.addresses.close()

    def image(self, directory: Path, name: str, program: str) -> None:
        directory.mkdir(exist_ok=True)
        (directory / "main.py").write_text(program)
        self.images.add(name, directory)

    async def until(self, resource: Resource, holds: Callable[[list[Object]], bool]) -> list[Object]:
        """Return the objects of `resource` as soon as `holds`."""
        changed = asyncio.Event()
        informer = self.informers.of(resource)
        informer.add_handler(lambda old, new: changed.set())
        while not holds(found := informer.list("default")):
            changed.clear()
            await changed.wait()
        return found

    async def log(self, pod: Object) -> str:
        name = pod["metadata"]["name"]
        return b"".join([part async for part in self.agent.read_log("default", name, "", LogQuery())]).decode()


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path / "data")
    await cluster.start()
    yield cluster
    await cluster.stop()


def deployment(image: str, version: str, replicas: int = 1, env: tuple[Object, ...] = ()) -> Object:
    labels = {"app": "hello"}
    container: dict[str, Any] = {
        "name": "app",
        "image": image,
        "env": [{"name": "VERSION", "value": version}, *env],
        "ports": [{"containerPort": 8080, "name": "http"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": {"eventmesh.io/inject": "false"}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 5},
            },
        },
    }


def is_ready(pod: Object) -> bool:
    found = condition(pod, "Ready")
    return found is not None and found["status"] == "True"


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
    mark = tmp_path / "mark"
    address = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    wanted = deployment("dev.local/slow", "one", env=(address, {"name": "MARK", "value": str(mark)}))
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    wanted["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = probe
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
