"""Identities by token: how soon a workload answers under mTLS, and what rotations cost its callers.

`python -m benchmarks identity`. The sidecar is a process that starts with nothing but a token; control, its authority
and the callers are this process.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

from benchmarks.report import clear_progress, limit_bar, progress, save
from eventmesh.base.tasks import TaskGroup
from tests.component.planes import backend
from tests.component.tls_client import met
from tests.component.token_world import TokenWorld, token_world

STARTS = 7
ROTATIONS = 20
LIFETIME = timedelta(seconds=6)
"""Renewed at half of it: a rotation each 3 s."""
CALLERS = 4
FIRST_BAR_S = 1.0
WAIT_S = 60.0


def run(args: argparse.Namespace) -> int:
    """Print both; return how many handshakes failed during the rotations."""
    del args
    with tempfile.TemporaryDirectory() as directory:
        firsts, handshakes, failed, seconds = asyncio.run(_measure(Path(directory)))
    clear_progress()
    print("identity: a sidecar that exchanges a token for its certificate")
    print(f"  exec to the first mTLS answer: median {median(firsts):.3f} s of {STARTS}, slowest {max(firsts):.3f} s")
    print(limit_bar("first mTLS answer", max(firsts), FIRST_BAR_S, "s"))
    print(f"  {ROTATIONS} rotations in {seconds:.0f} s: {handshakes} handshakes, {failed} failed")
    print(limit_bar("failed handshakes", failed, 0, ""))
    save("identity", {"first_s": firsts, "rotations": ROTATIONS, "handshakes": handshakes, "failed": failed})
    return failed


async def _measure(directory: Path) -> tuple[list[float], int, int, float]:
    async with token_world(directory, LIFETIME) as world, backend() as user:
        await world.mount_token()
        user_port = int(user.rpartition(":")[2])
        firsts = []
        for number in range(STARTS):
            progress(f"start {number + 1} of {STARTS}")
            firsts.append(await _first_answer(world, user_port))
        return firsts, *await _rotations(world, user_port)


async def _first_answer(world: TokenWorld, user_port: int) -> float:
    began = time.monotonic()
    async with world.sidecar(user_port) as (_, address):
        await _answered(world, address)
        return time.monotonic() - began


async def _answered(world: TokenWorld, address: str) -> None:
    shown = world.caller()
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await met(address, shown, world.authority.bundle(), world.directory / "first")
            except (OSError, AssertionError):
                await asyncio.sleep(0.005)
            else:
                return


async def _rotations(world: TokenWorld, user_port: int) -> tuple[int, int, float]:
    serials: set[int] = set()
    counts = {"handshakes": 0, "failed": 0}
    async with world.sidecar(user_port) as (_, address):
        await _answered(world, address)
        shown, bundle, began = world.caller(), world.authority.bundle(), time.monotonic()

        async def call_for_ever(number: int) -> None:
            while True:
                try:
                    found = await met(address, shown, bundle, world.directory / f"caller-{number}")
                    serials.add(found.serial_number)
                except (OSError, AssertionError):
                    counts["failed"] += 1
                counts["handshakes"] += 1

        tasks = TaskGroup("load")
        for number in range(CALLERS):
            tasks.spawn("caller", call_for_ever(number))
        while len(serials) <= ROTATIONS and time.monotonic() - began < 4 * ROTATIONS * LIFETIME.total_seconds() / 2:
            progress(f"rotation {max(0, len(serials) - 1)} of {ROTATIONS}, {counts['failed']} failed")
            await asyncio.sleep(0.2)
        await tasks.stop()
        return counts["handshakes"], counts["failed"], time.monotonic() - began
