"""Volumes and security contexts of real processes: what a container sees and may do, and what stays as it was."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from eventmesh.kube.api import Object
from eventmesh.kube.resources import CONFIG_MAP, POD, SECRET
from tests.component.pod_cluster import Cluster

ANOTHER_USER = 54_321 if os.geteuid() == 0 else os.geteuid()


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path / "data")
    await cluster.start()
    yield cluster
    await cluster.stop()


async def run(
    cluster: Cluster, tmp_path: Path, program: str, volumes: list[Object], mounts: list[Object], **more: Any
) -> Object:
    """Run a program once, with these volumes; return its pod."""
    cluster.image(tmp_path / "look", "look", program)
    container = {"name": "app", "image": "dev.local/look", "volumeMounts": mounts, **more}
    spec = {"containers": [container], "volumes": volumes, "restartPolicy": "Never"}
    metadata = {"name": "look", "labels": {"tier": "web"}, "annotations": {"eventmesh.io/inject": "false"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return await cluster.api.create(POD, pod, "default")


async def ended(cluster: Cluster) -> list[str]:
    """Return the lines that the program printed until it ended well."""
    (pod,) = await cluster.until(POD, lambda pods: bool(pods) and "terminated" in str(pods[0].get("status")))
    text = await cluster.log(pod)
    assert pod["status"]["phase"] == "Succeeded", text
    return text.splitlines()


async def objects(cluster: Cluster) -> None:
    words = {"metadata": {"name": "words"}, "data": {"hello": "servus", "bye": "ade"}, "binaryData": {"raw": "/wA="}}
    await cluster.api.create(CONFIG_MAP, words, "default")
    await cluster.api.create(SECRET, {"metadata": {"name": "key"}, "data": {"token": "czNjcmV0"}}, "default")


async def test_objects_appear_as_files_at_paths_that_this_machine_does_not_have(
    cluster: Cluster, tmp_path: Path
) -> None:
    await objects(cluster)
    program = """
import os
print(sorted(name for name in os.listdir("/eventmesh-config") if not name.startswith("..")))
print(open("/eventmesh-config/hello").read(), open("/eventmesh-config/raw", "rb").read())
print(open("/etc/eventmesh-test/keys/token").read())
print(open("/etc/one-file").read(), os.path.exists("/etc/passwd"), os.path.isdir("/usr/bin"))
print(open("/eventmesh-config/hello", "rb").readable())
try:
    open("/eventmesh-config/hello", "w")
except OSError as error:
    print(error.strerror)
"""
    volumes = [
        {"name": "words", "configMap": {"name": "words"}},
        {"name": "key", "secret": {"secretName": "key"}},
    ]
    mounts = [
        {"name": "words", "mountPath": "/eventmesh-config"},
        {"name": "key", "mountPath": "/etc/eventmesh-test/keys"},
        {"name": "words", "mountPath": "/etc/one-file", "subPath": "bye"},
    ]
    await run(cluster, tmp_path, program, volumes, mounts)
    assert await ended(cluster) == [
        "['bye', 'hello', 'raw']",
        r"servus b'\xff\x00'",
        "s3cret",
        "ade True True",
        "True",
        "Read-only file system",
    ]
    assert not Path("/eventmesh-config").exists() and not Path("/etc/eventmesh-test").exists()


async def test_a_projected_volume_shows_several_objects_and_the_pod_itself(cluster: Cluster, tmp_path: Path) -> None:
    await objects(cluster)
    sources = [
        {"configMap": {"name": "words", "items": [{"key": "hello", "path": "deep/er/greeting"}]}},
        {"secret": {"name": "key"}},
        {"secret": {"name": "nobody", "optional": True}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    program = "[print(open('/all/' + path).read()) for path in ('deep/er/greeting', 'token', 'labels')]"
    volumes = [{"name": "all", "projected": {"sources": sources}}]
    await run(cluster, tmp_path, program, volumes, [{"name": "all", "mountPath": "/all"}])
    assert await ended(cluster) == ["servus", "s3cret", 'tier="web"']


async def test_an_empty_directory_outlives_its_container_and_goes_with_the_pod(
    cluster: Cluster, tmp_path: Path
) -> None:
    program = """
import os, sys, time
if os.path.exists("/scratch/mark"):
    print("again", flush=True)
    time.sleep(600)
open("/scratch/mark", "w").close()
sys.exit(1)
"""
    cluster.image(tmp_path / "look", "look", program)
    container = {
        "name": "app",
        "image": "dev.local/look",
        "volumeMounts": [{"name": "tmp", "mountPath": "/scratch"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    metadata = {"name": "look", "annotations": {"eventmesh.io/inject": "false"}}
    await cluster.api.create(POD, {"metadata": metadata, "spec": spec}, "default")
    (pod,) = await cluster.until(POD, lambda pods: bool(pods) and '"restartCount": 1' in _json(pods[0]))
    while await cluster.log(pod) != "again\n":
        await asyncio.sleep(0.005)
    await cluster.api.delete(POD, "look", "default")
    await cluster.until(POD, lambda pods: not pods)
    assert not any((tmp_path / "data" / "pods").iterdir())


async def test_files_change_with_their_object_while_the_container_runs(cluster: Cluster, tmp_path: Path) -> None:
    await objects(cluster)
    program = """
import time
seen = ""
while seen != "moin":
    text = open("/words/hello").read()
    if text != seen:
        print(text, flush=True)
        seen = text
    time.sleep(0.005)
"""
    volumes = [{"name": "words", "configMap": {"name": "words"}}]
    await run(cluster, tmp_path, program, volumes, [{"name": "words", "mountPath": "/words"}])
    (pod,) = await cluster.until(POD, lambda pods: bool(pods) and "running" in str(pods[0].get("status")))
    while await cluster.log(pod) != "servus\n":
        await asyncio.sleep(0.005)
    await cluster.api.patch(CONFIG_MAP, "words", {"data": {"hello": "moin"}}, "default")
    assert await ended(cluster) == ["servus", "moin"]


async def test_a_process_runs_as_the_user_and_with_the_privileges_it_asks_for(cluster: Cluster, tmp_path: Path) -> None:
    script = "id -u; id -g; grep -E '^(CapBnd|NoNewPrivs)' /proc/self/status; touch /scratch/mark"
    context = {
        "runAsUser": ANOTHER_USER,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    volumes = [{"name": "tmp", "emptyDir": {}}]
    mounts = [{"name": "tmp", "mountPath": "/scratch"}]
    # A shell, because the interpreter of these tests may be out of another user's reach.
    await run(cluster, tmp_path, "", volumes, mounts, securityContext=context, command=["sh", "-c", script])
    user, group, bounding, no_new_privileges = await ended(cluster)
    assert os.geteuid() != 0 or (user, group) == (str(ANOTHER_USER), str(ANOTHER_USER))
    assert int(bounding.split()[1], 16) == 0 and no_new_privileges.split()[1] == "1"


async def test_a_volume_that_does_not_exist_yet_is_waited_for(cluster: Cluster, tmp_path: Path) -> None:
    volumes = [{"name": "words", "configMap": {"name": "words"}}]
    mounts = [{"name": "words", "mountPath": "/words"}]
    await run(cluster, tmp_path, "print(open('/words/hello').read())", volumes, mounts)
    (pod,) = await cluster.until(POD, lambda pods: bool(pods) and "CreateContainerConfigError" in str(pods[0]))
    assert "volumes words: ConfigMap default/words does not exist" in str(pod["status"])
    await objects(cluster)
    assert await ended(cluster) == ["servus"]


def _json(pod: Object) -> str:
    return json.dumps(pod.get("status"))


async def test_a_projected_token_proves_the_pod_to_whom_it_is_meant_for(cluster: Cluster, tmp_path: Path) -> None:
    source = {"serviceAccountToken": {"path": "orders", "audience": "orders", "expirationSeconds": 700}}
    volumes = [{"name": "tokens", "projected": {"sources": [source]}}]
    mounts = [{"name": "tokens", "mountPath": "/var/run/eventmesh-tokens"}]
    program = 'print(open("/var/run/eventmesh-tokens/orders").read())'
    pod = await run(cluster, tmp_path, program, volumes, mounts)
    (token,) = await ended(cluster)
    bearer, audiences = cluster.embedded.authenticator.identify(token, ("orders",))
    assert audiences == ("orders",) and bearer.name == "system:serviceaccount:default:default"
    assert bearer.extra["authentication.kubernetes.io/pod-uid"] == (pod["metadata"]["uid"],)
