"""`kill -9` of each process of a mesh in turn: how long until a write, a request and an event are acknowledged again.

One function with one pod: a request is answered only when the very process that was killed, or what died with it, does
its work again. Kills are apart by more than what a process needs to count as at work, as they are in life.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from benchmarks import report
from eventmesh.cluster.runtime.restarts import AT_WORK_AFTER_S, RECOVERED_WITHIN_S
from eventmesh.kube.resources import BROKER, CONFIG_MAP
from eventmesh.kube.status import is_ready
from tests.mesh.killing import ROLES, kill
from tests.mesh.objects import add_function, deploy, service, until
from tests.mesh.processes import MeshProcess
from tests.mesh.steady_load import LEDGER, Load


def run(args: argparse.Namespace) -> int:
    """Print the figures; return 1 when a process was away for longer than is promised."""
    took: dict[str, list[float]] = {role: [] for role in ROLES}
    with tempfile.TemporaryDirectory(prefix="bench-kills-") as directory:
        mesh = MeshProcess(Path(directory) / "mesh")
        try:
            asyncio.run(_measure(mesh, Path(directory), args.rounds, took))
        finally:
            report.clear_progress()
            mesh.close()
    _print(took)
    report.save("kills", took)
    return int(max(max(each) for each in took.values()) > RECOVERED_WITHIN_S)


async def _measure(mesh: MeshProcess, directory: Path, rounds: int, took: dict[str, list[float]]) -> None:
    await mesh.start()
    load = Load(mesh, "post")
    try:
        await _deploy(mesh, directory)
        load.start()
        await load.acknowledged_again()
        for number in range(rounds):
            for role in ROLES:
                report.progress(f"round {number + 1} of {rounds}: {role}")
                await asyncio.sleep(AT_WORK_AFTER_S + 0.5)
                took[role].append((await kill(mesh, load, role)).wall_s)
    finally:
        await load.stop()


async def _deploy(mesh: MeshProcess, directory: Path) -> None:
    add_function(mesh, directory / "relay", "relay")
    async with mesh.api() as api:
        await api.create(CONFIG_MAP, {"metadata": {"name": LEDGER}, "data": {"last": "0"}}, "default")
        await deploy(api, service("relay", "dev.local/relay", min_scale="1"))
        await api.create(BROKER, {"metadata": {"name": "post"}, "spec": {}}, "default")
        await until(api, BROKER, "post", is_ready)


def _print(took: dict[str, list[float]]) -> None:
    print("\nKilled (kill -9): until a write, a request and an event are acknowledged again")
    print(f"  {'s':34}{'p50':>8}{'max':>8}{'kills':>8}")
    for role, values in took.items():
        print(f"  {role:34}{report.percentile(values, 50):8.2f}{max(values):8.2f}{len(values):8}")
    worst = max(max(values) for values in took.values())
    print(report.limit_bar("the longest of all", worst, RECOVERED_WITHIN_S, "s"))
