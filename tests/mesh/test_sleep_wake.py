"""Functions that sleep and wake, again and again: every request is answered, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

from eventmesh.kube.resources import POD
from tests.mesh.objects import add_function, deploy, service, sleep_soon, until_none
from tests.mesh.processes import MeshProcess
from tests.waiting import WAIT_S

IS_SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
NAMES = [f"sleeper-{number}" for number in range(10 if IS_SOAK else 3)]
ROUNDS = 10 if IS_SOAK else 1
"""With `make soak` a hundred wakes."""


LASTING = ("eventmesh-mesh", "eventmesh-launc", "eventmesh-gatew", "eventmesh-activ")


async def test_every_wake_scales_once_answers_and_leaves_nothing_behind(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        await sleep_soon(api)
        await asyncio.gather(*(deploy(api, service(name, window="6s")) for name in NAMES))
        await until_none(api, POD)
        await wake_all(mesh, at_once=True)
        await until_none(api, POD)
        before, names = await holdings(mesh), Counter(mesh.names())
        for number in range(ROUNDS):
            await wake_all(mesh, at_once=number % 2 == 1)
            await until_none(api, POD)
        async with asyncio.timeout(WAIT_S):
            # What is kept in stock (networks, spare processes) is made anew in a quiet moment.
            while Counter(mesh.names()) != names or not await holds_no_more(mesh, before):
                await asyncio.sleep(0.1)
    assert list((mesh.data_dir / "pods").iterdir()) == []
    for name in NAMES:
        assert scalings(mesh, f"default/{name}-00001") == ["0->1", "1->0"] * (ROUNDS + 1)


async def wake_all(mesh: MeshProcess, *, at_once: bool) -> None:
    """Send each function, asleep, one request."""
    if at_once:
        answers = await asyncio.gather(*(mesh.get(name) for name in NAMES))
    else:
        answers = [await mesh.get(name) for name in NAMES]
    assert [(answer.status, answer.body.split()[0]) for answer in answers] == [(200, f"{name}-00001") for name in NAMES]


async def holdings(mesh: MeshProcess) -> dict[int, int]:
    """Return the open descriptors (sockets, pipes, network namespaces) of each lasting process once they rest."""
    found: dict[int, int] = {}
    while found != (now := {pid: descriptors(pid) for pid in (mesh.pid, *lasting(mesh))}):
        found = now
        await asyncio.sleep(0.6)
    return found


async def holds_no_more(mesh: MeshProcess, before: dict[int, int]) -> bool:
    now = {pid: descriptors(pid) for pid in before}
    return all(now[pid] <= before[pid] for pid in before)


def lasting(mesh: MeshProcess) -> list[int]:
    """Return the processes that live as long as the mesh does."""
    return [pid for pid in mesh.descendants() if mesh.name(pid) in LASTING]


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def scalings(mesh: MeshProcess, revision: str) -> list[str]:
    """Return what the autoscaler's log says it did to a revision after its first sleep, as `before->after`."""
    found = []
    for line in mesh.output.read_text().splitlines():
        words = dict(word.partition("=")[::2] for word in line.split() if "=" in word)
        if "controllers.autoscaler: scaled" in line and words["revision"] == revision:
            found.append(f"{words['before']}->{words['replicas']}")
    assert found[:1] == ["1->0"]
    return found[1:]
