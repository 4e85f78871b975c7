"""`kill -9` of a process of a mesh under load, and how long it took until its work was done again."""

from __future__ import annotations

import asyncio
import operator
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mesh.processes import MeshProcess, gone
from tests.mesh.starvation import Starvation
from tests.mesh.steady_load import Load
from tests.waiting import WAIT_S

NAMES = {
    "mesh": "eventmesh-mesh",
    "launcher": "eventmesh-launc",
    "gateway": "eventmesh-gatew",
    "activator": "eventmesh-activ",
    "sidecar": "eventmesh-sidec",
}
"""What `ps` shows of those that have a name of their own."""
ROLES = ("up", "function", *NAMES)


@dataclass(frozen=True)
class Recovery:
    """From a kill until an event, a request and a write that began after it were acknowledged."""

    role: str
    wall_s: float
    own_s: float
    """Without what others on the machine have taken of it."""


async def kill(
    mesh: MeshProcess, load: Load, role: str, choose: Callable[[Sequence[int]], int] = operator.itemgetter(0)
) -> Recovery:
    """Kill the process of that role that `choose` takes, and return when everything is acknowledged again."""
    async with asyncio.timeout(WAIT_S):
        while not (found := victims(mesh, role)):
            await asyncio.sleep(0.02)
    functions = set(victims(mesh, "function"))
    victim = choose(sorted(found))
    starvation = Starvation(mesh.descendants() | {mesh.pid})
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    if role == "up":
        # Nothing is left to start it again; whoever ran `eventmesh up` does it, as an init system would.
        await mesh.ended()
        await mesh.start()
    async with asyncio.timeout(WAIT_S):
        await load.acknowledged_again()
    wall_s = time.monotonic() - began
    starved_s = starvation.seconds(mesh.descendants() | {mesh.pid})
    if role in ("mesh", "gateway", "activator"):
        # Each by its own number: a list of children that is read while one of them ends may leave out others.
        assert all(map(is_function, functions)), f"functions ended with the {role}"
    # It may end later than others have answered: the next round is not to count it among those that run.
    await gone({victim})
    return Recovery(role, wall_s, max(0.0, wall_s - starved_s))


def victims(mesh: MeshProcess, role: str) -> list[int]:
    """Return the processes of that role; none while it is just being started."""
    match role:
        case "up":
            return [mesh.pid]
        case "function":
            return [pid for pid in mesh.descendants() if is_function(pid)]
        case _:
            return mesh.named(NAMES[role])


def is_function(pid: int) -> bool:
    return command_line(pid)[-1:] == ["function.py"]


def command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
