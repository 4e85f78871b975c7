"""Limits of real pods as the kernel keeps them; on a machine that gives no control groups, what is told instead."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from eventmesh.cluster.runtime import pod_commands
from eventmesh.cluster.runtime.cgroups import ControlGroups, Limits
from eventmesh.cluster.runtime.pod_groups import PIDS_LIMIT
from eventmesh.cluster.runtime.sessions import Stream
from eventmesh.kube.api import Object
from eventmesh.kube.resources import EVENT, POD
from tests.component.container_archives import archive, shell
from tests.component.pod_cluster import Cluster, bare, running
from tests.waiting import END_WAIT_S, WAIT_S

GROUPS = ControlGroups.find()
GROUPS.close()
MEMORY, CPU = ("memory.max", "cpu.weight") if GROUPS.is_unified else ("memory/memory.limit_in_bytes", "cpu/cpu.shares")
RESOURCES_OF_NOBODY = Limits(memory_bytes=1024 * 1024)
RESOURCES = {"limits": {"memory": "128Mi", "cpu": "500m"}, "requests": {"cpu": "125m"}}
needs_groups = pytest.mark.skipif(bool(GROUPS.note), reason=f"{GROUPS.note}: what is told then has a test of its own")

needs_pids = pytest.mark.skipif(not GROUPS.count_processes, reason="no controller counts processes: `check` says so")
GROUPS_OF_PIDS = Path("/sys/fs/cgroup") if GROUPS.is_unified else Path("/sys/fs/cgroup/pids")
FEW = 50
"""Enough for an interpreter, and soon taken by one that forks."""


async def ended(cluster: Cluster, pod: Object) -> tuple[str, str]:
    """Run a pod to its end; return how its container ended, and what it printed."""
    await cluster.api.create(POD, {**pod, "spec": {**pod["spec"], "restartPolicy": "Never"}}, "default")
    (last,) = await cluster.until(POD, lambda pods: bool(pods) and "terminated" in str(pods[0].get("status")))
    state = last["status"]["containerStatuses"][0]["state"]["terminated"]
    return state["reason"], await cluster.log(last)


@needs_groups
@pytest.mark.parametrize("kind", ["process", "container"])
async def test_must_have_cgroup_configured_and_should_have_cgroup_read_only(tmp_path: Path, kind: str) -> None:
    script = f"cd /sys/fs/cgroup; cat {MEMORY} {CPU}; echo 9 2>/dev/null > {MEMORY} || echo refused"
    async with running(tmp_path / "data") as cluster:
        if kind == "process":
            cluster.image(tmp_path / "shell", "shell", "")
        else:
            cluster.images.add("shell", archive(tmp_path / "shell.tar", [shell()], {"Entrypoint": ["sh"]}))
        container = {"image": "dev.local/shell", "command": ["sh", "-c", script], "resources": RESOURCES}
        reason, said = await ended(cluster, bare("shell", container))
    weight = "5" if GROUPS.is_unified else "128"
    assert (reason, said.split()) == ("Completed", [str(128 * 1024 * 1024), weight, "refused"])


@needs_groups
async def test_custom_resources_limits(tmp_path: Path) -> None:
    # All at once: whoever looks now and then would see it too late.
    program = "x = bytearray(20_000_000); print('fine', flush=True); y = bytearray(200_000_000); print('too much')"
    if GROUPS.is_unified:
        swap = "/sys/fs/cgroup/memory.swap.max"
    else:
        swap = "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"
    counted = (
        f"import os; print(open({swap!r}).read().strip() if os.path.exists({swap!r}) else 'uncounted', flush=True)\n"
    )
    async with running(tmp_path / "data") as cluster:
        cluster.image(tmp_path / "hog", "hog", counted + program)
        resources = {"limits": {"memory": "100Mi"}}
        reason, said = await ended(cluster, bare("hog", {"image": "dev.local/hog", "resources": resources}))
    swapped, told = said.split()
    assert (reason, told) == ("OOMKilled", "fine")
    assert swapped in ("uncounted", "0" if GROUPS.is_unified else str(100 * 1024 * 1024))


@needs_groups
async def test_a_container_that_wants_more_processor_than_its_limit_is_held_back(tmp_path: Path) -> None:
    stat = "cpu.stat" if GROUPS.is_unified else "cpu/cpu.stat"
    program = f"while 'nr_throttled 0' in open('/sys/fs/cgroup/{stat}').read(): pass\nprint('held back')"
    async with running(tmp_path / "data") as cluster:
        cluster.image(tmp_path / "busy", "busy", program)
        resources = {"limits": {"cpu": "50m"}}
        assert await ended(cluster, bare("busy", {"image": "dev.local/busy", "resources": resources})) == (
            "Completed",
            "held back\n",
        )


@needs_groups
async def test_what_is_run_beside_a_container_counts_with_it_and_nothing_is_left(tmp_path: Path) -> None:
    groups = ControlGroups.find()
    async with running(tmp_path / "data", groups) as cluster:
        cluster.image(
            tmp_path / "idle", "idle", "print(open('/proc/self/cgroup').read()); import time; time.sleep(1000)"
        )
        await cluster.api.create(POD, bare("idle", {"image": "dev.local/idle", "resources": RESOURCES}), "default")
        (pod,) = await cluster.until(POD, lambda pods: bool(pods) and "running" in str(pods[0].get("status")))
        argv = ("cat", "/proc/self/cgroup")
        session = await cluster.agent.open_session("default", "idle", "", argv, stdin=False, tty=False)
        try:
            said = b""
            while part := await session.read(Stream.STDOUT):
                said += part
            assert await session.wait() == 0
        finally:
            await session.end()
        own = [line.partition(":")[2] for line in said.decode().splitlines()]
        while len(told := (await cluster.log(pod)).split()) < len(own):
            await asyncio.sleep(0.01)
        assert own == [line.partition(":")[2] for line in told]
        assert any("/eventmesh-" in line for line in own)
        made = groups.make("probe", RESOURCES_OF_NOBODY)
        assert made is not None
    assert not any(Path(directory).parent.exists() for directory in made.directories)


FORK_BOMB = """
import os, time
print(open('/proc/self/cgroup').read(), flush=True)
children = 0
while True:
    try:
        if os.fork() == 0:
            children = -10**9
        children += 1
    except BlockingIOError:
        if children > 0:
            print(children, flush=True)
            children = -10**9
        time.sleep(0.1)
"""


@needs_pids
async def test_a_function_that_forks_without_end_is_held_told_and_ended_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_commands, "PIDS_LIMIT", FEW)
    async with running(tmp_path / "data") as cluster:
        cluster.image(tmp_path / "bomb", "bomb", FORK_BOMB)
        cluster.image(tmp_path / "other", "other", "import subprocess; print(subprocess.call(['true']))")
        await cluster.api.create(POD, bare("bomb", {"image": "dev.local/bomb"}), "default")
        async with asyncio.timeout(WAIT_S):
            (told,) = await cluster.until(EVENT, bool)
        assert (told["type"], told["reason"]) == ("Warning", "ProcessLimitReached")
        (pod,) = (await cluster.api.list(POD, "default")).items
        which = "::" if GROUPS.is_unified else ":pids:"
        (path,) = (line for line in (await cluster.log(pod)).splitlines() if which in line)
        (group,) = GROUPS_OF_PIDS.rglob(path.rpartition("/")[2])
        assert int((group / "pids.current").read_text()) <= FEW
        assert await cluster.api.create(
            POD, bare("other", {"image": "dev.local/other"}, restartPolicy="Never"), "default"
        )
        pods = await cluster.until(POD, lambda pods: any("terminated" in str(pod.get("status")) for pod in pods))
        (other,) = (pod for pod in pods if pod["metadata"]["name"] == "other")
        assert await cluster.log(other) == "0\n"
        await cluster.api.delete(POD, "bomb", "default", grace_seconds=1)
        async with asyncio.timeout(END_WAIT_S):
            await cluster.until(POD, lambda pods: len(pods) == 1)
            while group.exists() and (group / "cgroup.procs").read_text():
                await asyncio.sleep(0.02)


@needs_pids
async def test_a_container_has_as_many_processes_as_the_limit_says(tmp_path: Path) -> None:
    file = "pids.max" if GROUPS.is_unified else "pids/pids.max"
    async with running(tmp_path / "data") as cluster:
        cluster.image(tmp_path / "look", "look", f"print(open('/sys/fs/cgroup/{file}').read())")
        assert await ended(cluster, bare("look", {"image": "dev.local/look"})) == ("Completed", f"{PIDS_LIMIT}\n\n")


async def test_limits_that_nobody_can_keep_are_told(tmp_path: Path) -> None:
    async with running(tmp_path / "data", ControlGroups({}, "this user may make no control groups: /x")) as cluster:
        cluster.image(tmp_path / "done", "done", "")
        await ended(cluster, bare("done", {"image": "dev.local/done", "resources": RESOURCES}))
        async with asyncio.timeout(WAIT_S):
            while not (
                told := [e for e in (await cluster.api.list(EVENT, "default")).items if "limits" in e["message"]]
            ):
                await asyncio.sleep(0.05)
    assert [(event["type"], event["reason"], event["message"]) for event in told] == [
        ("Warning", "LimitsNotEnforced", "limits.cpu has no effect: this user may make no control groups: /x")
    ]
