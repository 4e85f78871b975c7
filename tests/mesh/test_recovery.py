"""The mesh process is killed: what runs goes on, and the next one takes it over."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from eventmesh.cluster.running import find
from eventmesh.kube.api import Object
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import KSERVICE, POD
from tests.mesh.objects import add_function, deploy, service, until_none
from tests.mesh.processes import MeshProcess, gone
from tests.waiting import WAIT_S


def kill_mesh(mesh: MeshProcess) -> int:
    """Return the number of the process that was killed."""
    (pid,) = mesh.named("eventmesh-mesh")
    os.kill(pid, signal.SIGKILL)
    return pid


async def until_next(mesh: MeshProcess, killed: int) -> None:
    """Return when the next mesh process is ready."""
    async with asyncio.timeout(WAIT_S):
        while (found := find(mesh.data_dir)) is None or found.pid == killed or not found.addresses:
            await asyncio.sleep(0.02)


async def function_pid(mesh: MeshProcess, name: str, path: str = "/") -> int:
    answer = await mesh.get(name, path)
    assert answer.status == 200, answer
    return int(answer.body.split()[1])


async def only_pod(api: HttpApi, holds: Callable[[Object], bool] = lambda container: True) -> Object:
    """Return the one pod once `holds` of the status of its function's container."""
    async with asyncio.timeout(WAIT_S):
        while True:
            (pod,) = (await api.list(POD, "default")).items
            if holds(pod["status"]["containerStatuses"][0]):
                return pod
            await asyncio.sleep(0.02)


async def until_logged(api: HttpApi, pod: Object, *lines: str) -> None:
    """Return when the log of a pod is exactly `lines`."""
    async with asyncio.timeout(WAIT_S):
        while (await api.pod_log(pod["metadata"]["name"], "default")).splitlines() != list(lines):
            await asyncio.sleep(0.02)


async def test_a_function_goes_on_without_the_mesh_and_belongs_to_the_next(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        await deploy(api, service("hello", min_scale="1"))
        before = await only_pod(api)
        function = await function_pid(mesh, "hello", "/before")
        # What it has read and not yet written down is lost with a process that is killed.
        await until_logged(api, before, "asked for /before")
    killed = kill_mesh(mesh)
    assert await function_pid(mesh, "hello", "/meanwhile") == function
    await until_next(mesh, killed)
    assert await function_pid(mesh, "hello", "/afterwards") == function
    async with mesh.api() as api:
        after = await only_pod(api)
        for field in ("podIP", "startTime", "containerStatuses"):
            assert after["status"][field] == before["status"][field]
        await until_logged(api, after, "asked for /before", "asked for /meanwhile", "asked for /afterwards")
        await api.delete(KSERVICE, "hello", "default")
        await until_none(api, POD)
    await gone({function})
    assert list((mesh.data_dir / "pods").iterdir()) == []


async def test_a_function_that_ended_without_the_mesh_is_started_by_the_next(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        await deploy(api, service("hello", min_scale="1"))
    function = await function_pid(mesh, "hello")
    killed = kill_mesh(mesh)
    os.kill(function, signal.SIGKILL)
    await until_next(mesh, killed)
    async with mesh.api() as api:
        pod = await only_pod(api, lambda container: bool(container["restartCount"] and container["ready"]))
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 128 + signal.SIGKILL
    assert await function_pid(mesh, "hello") != function


async def test_a_launcher_that_is_killed_is_replaced_and_its_functions_with_it(
    mesh: MeshProcess, tmp_path: Path
) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        await deploy(api, service("hello", min_scale="1"))
    function = await function_pid(mesh, "hello")
    (killed,) = mesh.named("eventmesh-mesh")
    (launcher,) = mesh.named("eventmesh-launc")
    started = mesh.descendants() - {killed}
    os.kill(launcher, signal.SIGKILL)
    await until_next(mesh, killed)
    await gone(started)
    async with asyncio.timeout(WAIT_S):
        while (answer := await mesh.get("hello")).status != 200:
            await asyncio.sleep(0.02)
    assert answer.body.split()[1] != str(function)


async def test_a_function_that_is_killed_answers_again_however_rarely_it_is_probed(
    mesh: MeshProcess, tmp_path: Path
) -> None:
    """Its sidecar learns of the next process by the runtime, and not by the next probe, which is an hour away."""
    add_function(mesh, tmp_path / "hello")
    rarely_probed = service("hello", min_scale="1")
    (container,) = rarely_probed["spec"]["template"]["spec"]["containers"]
    container["readinessProbe"] = {"httpGet": {"path": "/"}, "periodSeconds": 3600}
    async with mesh.api() as api:
        await deploy(api, rarely_probed)
        killed = await function_pid(mesh, "hello")
        os.kill(killed, signal.SIGKILL)
        await gone({killed})
        await only_pod(api, lambda container: bool(container["ready"]) and container["restartCount"] == 1)
        assert await function_pid(mesh, "hello") != killed
