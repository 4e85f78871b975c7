"""Processes of the mesh that are killed: whoever comes meanwhile waits a moment, and nobody is refused."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mesh.objects import add_function, deploy, service
from tests.mesh.processes import MeshProcess
from tests.waiting import WAIT_S

CLIENTS = 4
ASKED_BEFORE = 5
ASKED_AFTERWARDS = 10


@pytest.mark.parametrize("killed", ["eventmesh-gatew", "eventmesh-activ"])
async def test_nobody_is_refused_while_a_killed_process_is_started_again(
    mesh: MeshProcess, tmp_path: Path, killed: str
) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        # With the activator in the way for good, so that it matters to every request.
        await deploy(api, service("hello", min_scale="1", target_burst_capacity="-1"))
        assert (await mesh.get("hello")).status == 200
        (pid,) = [number for number in mesh.descendants() if mesh.name(number) == killed]
        lost = await asyncio.gather(*(ask_across(mesh, pid) for _ in range(CLIENTS)))
        # What was under way, and on a busy machine one more, on a connection of whose end nobody has heard yet.
        assert max(lost) <= 2, "each client loses what was under way, and no more"
        assert pid not in mesh.descendants()


async def ask_across(mesh: MeshProcess, pid: int) -> int:
    """Ask again and again while process `pid` is killed; return how many requests were lost on their way."""
    lost = sum([await ask(mesh) for _ in range(ASKED_BEFORE)])
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return lost + sum([await ask(mesh) for _ in range(ASKED_AFTERWARDS)])


async def ask(mesh: MeshProcess) -> bool:
    """Send one request on a connection of its own; return whether its connection was cut under way."""
    try:
        answer = await mesh.get("hello", timeout_s=WAIT_S)
    except (ConnectionResetError, http.client.HTTPException):
        return True
    assert answer.status in (200, 503), answer
    return answer.status == 503
