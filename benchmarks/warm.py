"""The first answer of a Python function at zero, forked from a prepared interpreter and started as usual, in one run.

All functions are of one image, which `eventmesh.functions` serves; half of them ask for a warm start. They are woken in
turn, so that what else the machine does meets both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import statistics
import subprocess
import time
from pathlib import Path

import psutil

from benchmarks import report
from benchmarks.cold_mesh import NAMESPACE, PATIENCE_S, ColdMesh, create, is_ready, rss_and_pss_mib, until
from eventmesh.cluster.runtime import zygote
from eventmesh.cluster.runtime.child import WARM_NAME
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import CONFIG_MAP, KSERVICE
from eventmesh.kube.warm_start import WARM_START
from functions.demo.mesh import EVENTMESH

EACH = 6
"""Functions of a kind."""
FUNCTION = Path(__file__).parent / "served"
KINDS = {"usual": "false", "warm": "true"}
PAUSE_S = 1.0
"""Between two wakes: what one leaves to do is done, and the stock of forks is full again."""


def run(args: argparse.Namespace) -> int:
    """Print the figures; return 0, or raise RuntimeError when a function did not answer."""
    report.progress("starting a mesh")
    mesh = ColdMesh(0)
    try:
        figures, memory = asyncio.run(_measure(mesh, args.rounds))
    finally:
        report.clear_progress()
        mesh.stop()
    print(f"\nFirst answer of a sleeping function, {EACH} of a kind, {args.rounds} rounds")
    print(f"  {'ms':34}{'p50':>8}{'p90':>8}{'max':>8}")
    for kind, values in figures.items():
        p90 = report.percentile(values, 90)
        print(f"  {kind:34}{statistics.median(values):8.1f}{p90:8.1f}{max(values):8.1f}")
    for name, (rss, pss) in memory.items():
        print(f"  {name:34}{rss:8.1f} MiB resident, {pss:.1f} with shares of shared pages")
    return 0


async def _measure(mesh: ColdMesh, rounds: int) -> tuple[dict[str, list[float]], dict[str, tuple[float, float]]]:
    figures: dict[str, list[float]] = {kind: [] for kind in KINDS}
    memory: dict[str, tuple[float, float]] = {}
    api = await mesh.api()
    try:
        report.progress("deploying")
        await _deploy(mesh, api)
        for number in range(rounds):
            report.progress(f"round {number + 1} of {rounds}: waiting until all functions sleep")
            await mesh.asleep(api)
            for each in range(EACH):
                for kind in KINDS:
                    figures[kind].append(await asyncio.to_thread(_first_answer_ms, mesh, f"{kind}-{each}"))
                    await asyncio.sleep(PAUSE_S)
        memory = _memory(mesh)
    finally:
        await api.close()
    return figures, memory


async def _deploy(mesh: ColdMesh, api: HttpApi) -> None:
    image = [*EVENTMESH, "images", "add", "served", str(FUNCTION)]
    subprocess.run(image, check=True, stdout=subprocess.DEVNULL, env=mesh.process.environment())
    await api.patch(CONFIG_MAP, "config-autoscaler", {"data": mesh.quick_sleep()}, "knative-serving")
    for kind, value in KINDS.items():
        for each in range(EACH):
            metadata = {"annotations": {WARM_START: value}}
            template = {"metadata": metadata, "spec": {"containers": [{"image": "dev.local/served"}]}}
            await create(api, KSERVICE, f"{kind}-{each}", {"spec": {"template": template}})
    await until(api, KSERVICE, lambda objects: all(map(is_ready, objects)))


def _first_answer_ms(mesh: ColdMesh, name: str) -> float:
    host, _, port = mesh.process.gateway.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    try:
        began = time.monotonic()
        connection.request("GET", "/", headers={"Host": f"{name}.{NAMESPACE}.localhost"})
        response = connection.getresponse()
        body = response.read()
        taken = time.monotonic() - began
    finally:
        connection.close()
    if response.status != 200:
        raise RuntimeError(f"{name} answered {response.status}: {body[:200]!r}")
    return taken * 1e3


def _memory(mesh: ColdMesh) -> dict[str, tuple[float, float]]:
    """Return the resident and proportional MiB of the prepared interpreter, and of one fork that waits."""
    found: dict[str, tuple[float, float]] = {}
    for child in psutil.Process(mesh.process.process.pid).children(recursive=True):
        if child.name() in (zygote.NAME, WARM_NAME):
            figures = rss_and_pss_mib(child.pid)
            if figures is not None:
                found[child.name()] = figures
    return found
