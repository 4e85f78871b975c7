"""Forks of a prepared interpreter, waited for: whether a function starts warm is then no matter of time."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from eventmesh.cluster.runtime.child import WARM_NAME
from eventmesh.cluster.runtime.process import Command, ProcessLauncher
from eventmesh.cluster.runtime.surroundings import surroundings
from tests.waiting import WAIT_S


async def fill(launcher: ProcessLauncher, count: int = 2) -> list[int]:
    """Return the forks that wait for an order, once there are `count`; have the first program ask for them."""
    if not waiting(launcher):
        with open(os.devnull, "wb") as nowhere:
            command = Command((sys.executable, "-c", ""), surroundings(), warm=True)
            await (await launcher.spawn(command, nowhere.fileno(), nowhere.fileno(), None)).exited
    async with asyncio.timeout(WAIT_S):
        while len(found := waiting(launcher)) < count:
            await asyncio.sleep(0.01)
    return found


def waiting(launcher: ProcessLauncher, name: str = WARM_NAME) -> list[int]:
    """Return the launcher's children of that name."""
    found = []
    for word in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split():
        try:
            if Path(f"/proc/{word}/comm").read_text().strip() == name:
                found.append(int(word))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
