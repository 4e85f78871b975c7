"""The disk of a whole mesh is full: what must be stored is refused and says why, all that runs goes on, and so does the
rest once there is room."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import BROKER, CONFIG_MAP, EVENT, KSERVICE, POD
from eventmesh.kube.status import condition
from tests.mesh.objects import add_function, deploy, service, until
from tests.mesh.processes import EVENTMESH, MeshProcess, gone
from tests.peers.command_line import CommandLine
from tests.small_disk import SmallDisk, needs_root, small_disk
from tests.waiting import WAIT_S

pytestmark = [needs_root, pytest.mark.timeout(900)]

DISK_MEBIBYTES = 48
FULL = "database or disk is full"
MOST_LINES = 60
"""What a mesh may write into its log in a minute of a full disk: each of its controllers may say so once in it."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "mesh", DISK_MEBIBYTES) as disk:
        yield disk


@pytest_asyncio.fixture
async def mesh(disk: SmallDisk, tmp_path: Path) -> AsyncIterator[MeshProcess]:
    """A mesh whose data directory is the disk, with a function that runs; its own output is elsewhere."""
    mesh = MeshProcess(disk.directory)
    async with mesh.running():
        add_function(mesh, tmp_path / "hello")
        async with mesh.api() as api:
            await deploy(api, service("hello", min_scale="1"))
            await api.create(CONFIG_MAP, {"metadata": {"name": "before"}, "data": {"kept": "yes"}}, "default")
        yield mesh


async def create(api: HttpApi, name: str, size: int = 20_000) -> None:
    await api.create(CONFIG_MAP, {"metadata": {"name": name}, "data": {"x": "y" * size}}, "default")


async def until_stored(api: HttpApi, name: str) -> None:
    """Return as soon as the API has taken an object."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await create(api, name)
            except (ApiError, UnavailableError) as error:
                # The latter of a mesh that is just started again.
                assert getattr(error, "code", 500) == 500, error
                await asyncio.sleep(0.1)
            else:
                return


async def until_refused(api: HttpApi, disk: SmallDisk) -> str:
    """Fill the disk until the API takes nothing any more; return what it says.

    A large object first, then small ones: where that finds no room, they may in what the store's log has still.
    """
    number, refused = 0, ""
    async with asyncio.timeout(WAIT_S):
        for size in (20_000, 1):
            refused = ""
            while not refused:
                disk.fill()
                try:
                    await create(api, f"last-{number}", size)
                    number += 1
                except ApiError as error:
                    assert (error.code, error.reason) == (500, "InternalError")
                    refused = error.message
    return refused


async def one_pod(api: HttpApi) -> Object:
    (pod,) = (await api.list(POD, "default", label_selector="serving.knative.dev/service=hello")).items
    return pod


async def send(mesh: MeshProcess) -> tuple[int, str]:
    sent = await mesh.eventmesh("send", "--broker", "post", "--type", "t", "--data", '"' + "x" * 50_000 + '"')
    return sent.code, sent.out + sent.err


@pytest.mark.peer
@pytest.mark.parametrize("version", ["kubectl-oldest", "kubectl-newest"])
async def test_kubectl_is_told_at_once_which_disk_is_full_and_reads_go_on(
    mesh: MeshProcess, disk: SmallDisk, tmp_path: Path, version: str
) -> None:
    kubectl = CommandLine(version, mesh.kubeconfig, tmp_path)
    await kubectl("get", "configmap")
    async with mesh.api() as api:
        await until_refused(api, disk)
    refused = await kubectl.run("create", "configmap", "late", f"--from-literal=x={'y' * 20_000}", "-v=6")
    # It tries ten times, a second apart, what it is told to try again.
    assert refused.err.count("500 Internal Server Error") == 1, refused.err
    assert refused.code == 1
    assert "Error from server (InternalError)" in refused.err or "error: failed to create configmap" in refused.err
    assert str(disk.directory / "store") in refused.err
    assert FULL in refused.err and "make room on its disk" in refused.err
    assert "yes" in await kubectl("get", "configmap", "before", "-o", "yaml")
    assert "hello" in await kubectl("get", "ksvc")
    assert (await mesh.get("hello")).status == 200
    disk.make_room()
    assert "late created" in await kubectl("create", "configmap", "late", "--from-literal=x=y")


async def test_all_that_runs_goes_on_and_what_was_not_told_is_told_when_there_is_room(
    mesh: MeshProcess, disk: SmallDisk, tmp_path: Path
) -> None:
    tasks = TaskGroup("test")
    async with mesh.api() as api:
        await api.create(BROKER, {"metadata": {"name": "post"}}, "default")
        await until(api, BROKER, "post", is_ready)
        assert (await send(mesh))[0] == 0
        watching = tasks.spawn("watch", until_watched(api, "afterwards"))
        pod = await one_pod(api)
        before = await mesh.get("hello")
        lines, began = len(mesh.output.read_text().splitlines()), time.monotonic()

        await until_refused(api, disk)
        code, told = await send(mesh)
        assert code != 0 and "503" in told
        # A function that dies is started again, although nobody can be told.
        os.kill(int(before.body.split()[1]), signal.SIGKILL)
        async with asyncio.timeout(WAIT_S):
            while (after := await mesh.get("hello")).status != 200 or after.body == before.body:
                await asyncio.sleep(0.05)
        # What is wanted of the mesh meanwhile is refused.
        with pytest.raises(ApiError, match=FULL):
            await api.create(KSERVICE, service("late"), "default")
        assert (await mesh.get_many("hello", 300))[-1].status == 200
        minutes_begun = 1 + (time.monotonic() - began) // 60
        assert len(mesh.output.read_text().splitlines()) - lines <= MOST_LINES * minutes_begun

        disk.make_room()
        await until_stored(api, "afterwards")
        async with asyncio.timeout(WAIT_S):
            await watching
            while restarts(await one_pod(api)) != 1:
                await asyncio.sleep(0.05)
            while (await send(mesh))[0] != 0:
                await asyncio.sleep(0.1)
        assert (await one_pod(api))["metadata"]["uid"] == pod["metadata"]["uid"]
        assert (await mesh.get("hello")).body == after.body
        await deploy(api, service("late"))
        assert (await mesh.get("late")).status == 200


async def test_killed_while_the_disk_is_full_it_comes_back_whole_when_there_is_room(
    mesh: MeshProcess, disk: SmallDisk
) -> None:
    async with mesh.api() as api:
        await until_refused(api, disk)
        revisions = {pod["metadata"]["uid"] for pod in (await api.list(POD, "default")).items}
    function = (await mesh.get("hello")).body
    (inner,) = mesh.named("eventmesh-mesh")
    os.kill(inner, signal.SIGKILL)
    # Whatever the next one can do without room: what it serves goes on.
    for _ in range(20):
        assert (await mesh.get("hello")).body == function
    disk.make_room()
    async with mesh.api() as api:
        await until_stored(api, "afterwards")
        assert (await api.get(CONFIG_MAP, "before", "default"))["data"] == {"kept": "yes"}
        assert {pod["metadata"]["uid"] for pod in (await api.list(POD, "default")).items} == revisions
    assert (await mesh.get("hello")).body == function

    async with mesh.api() as api:
        await until_refused(api, disk)
    started = mesh.descendants()
    await mesh.stop(signal.SIGKILL)
    await gone(started)
    disk.fill()
    ended = await up(disk.directory)
    if ended is not None:
        assert ended.returncode == 3
        last = ended.stderr.strip().splitlines()[-1]
        assert last.startswith("eventmesh: ") and str(disk.directory) in last and "make room" in last
    disk.make_room()
    await mesh.start()
    async with mesh.api() as api:
        assert (await api.get(CONFIG_MAP, "before", "default"))["data"] == {"kept": "yes"}
        await until_stored(api, "at-last")
    async with asyncio.timeout(WAIT_S):
        while (await mesh.get("hello")).status != 200:
            await asyncio.sleep(0.05)


async def test_pods_whose_disk_is_full_lose_lines_and_new_ones_wait_and_say_for_what(tmp_path: Path) -> None:
    mesh = MeshProcess(tmp_path / "mesh")
    with small_disk(mesh.data_dir / "pods", 2) as disk:
        async with mesh.running(), mesh.api() as api:
            add_function(mesh, tmp_path / "hello")
            await deploy(api, service("hello", min_scale="1"))
            disk.fill()
            assert {answer.status for answer in await mesh.get_many("hello", 300)} == {200}
            assert mesh.output.read_text().count("its lines are dropped until there is room") <= 2

            await api.create(KSERVICE, service("late", min_scale="1"), "default")
            waiting = await until(api, KSERVICE, "late", lambda obj: names(condition(obj, "Ready"), disk))
            assert (condition(waiting, "Ready") or {})["status"] == "False"
            async with asyncio.timeout(WAIT_S):
                while not any(names(each, disk) for each in (await api.list(EVENT, "default")).items):
                    await asyncio.sleep(0.05)
            assert (await mesh.get("hello")).status == 200

            disk.make_room()
            await until(api, KSERVICE, "late", is_ready)
            assert (await mesh.get("late")).status == 200
            async with asyncio.timeout(WAIT_S):
                while "/heard-again" not in (await mesh.eventmesh("logs", "hello")).out:
                    await mesh.get("hello", "/heard-again")


def is_ready(obj: Object) -> bool:
    found = condition(obj, "Ready")
    return found is not None and found["status"] == "True"


def names(told: Object | None, disk: SmallDisk) -> bool:
    """Return whether a condition or an Event says which disk is full, and what to do."""
    message: str = (told or {}).get("message") or ""
    return str(disk.directory) in message and "No space left on device; make room on its disk" in message


def restarts(pod: Object) -> int:
    return sum(each["restartCount"] for each in pod["status"].get("containerStatuses") or [])


async def until_watched(api: HttpApi, name: str) -> None:
    """Return when a watch that has begun before tells of the object."""
    async for event in api.watch(CONFIG_MAP, "default"):
        if event.object["metadata"].get("name") == name:
            return
    raise AssertionError("the watch has ended")


async def up(data_dir: Path) -> subprocess.CompletedProcess[str] | None:
    command = [*EVENTMESH, "up", "--data-dir", str(data_dir), "--port", "0", "--gateway-port", "0"]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_S * 2)

    return await asyncio.get_running_loop().run_in_executor(None, run)
