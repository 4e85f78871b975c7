"""A mesh with three hundred functions and a thousand revisions: does it stay responsive, and how large is it?

All revisions sleep from the start (initial-scale 0). Memory is the proportional share (PSS) of all processes, so
that pages which they share count once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import time
from dataclasses import dataclass, field

import aiohttp

from benchmarks import report
from benchmarks.cold_mesh import FUNCTION, NAMESPACE, ColdMesh, create, is_ready, rss_and_pss_mib
from eventmesh.kube.api import Object
from eventmesh.kube.client import HttpApi
from eventmesh.kube.config import load_config
from eventmesh.kube.resources import CONFIG_MAP, KSERVICE, REVISION
from functions.demo.mesh import EVENTMESH

SERVICES = 300
REVISIONS = 1000
AT_ONCE = 16
"""Services under way at a time: a person's script, not a flood."""
LISTS = 100
CREATIONS = 5
LIST_MS, CREATE_S, UP_S, IDLE_MIB = 100.0, 3.0, 2.0, 200.0
PATIENCE_S = 900.0


@dataclass(slots=True)
class _Figures:
    empty_mib: float = 0.0
    full_mib: float = 0.0
    deployed_s: float = 0.0
    list_services_ms: list[float] = field(default_factory=list)
    list_revisions_ms: list[float] = field(default_factory=list)
    create_s: list[float] = field(default_factory=list)
    restarted_s: float = 0.0


def run(args: argparse.Namespace) -> int:
    """Print the figures; return 0, or raise TimeoutError or CalledProcessError when something never came to its end."""
    del args
    report.progress("starting a mesh")
    mesh = ColdMesh(0)
    figures = _Figures()
    try:
        asyncio.run(_measure(mesh, figures))
        report.progress("starting it again")
        figures.restarted_s = mesh.restart()
    finally:
        report.clear_progress()
        mesh.stop()
    _print(mesh, figures)
    return 0


async def _measure(mesh: ColdMesh, figures: _Figures) -> None:
    api = await mesh.api()
    try:
        await asyncio.sleep(2.0)
        figures.empty_mib = _memory_mib(mesh)
        await _deploy(mesh, api, figures)
        await _list(mesh, figures)
        for number in range(CREATIONS):
            report.progress(f"kn service create, {number + 1} of {CREATIONS}")
            began = time.monotonic()
            await asyncio.to_thread(_kn_create, mesh, number)
            figures.create_s.append(time.monotonic() - began)
        figures.full_mib = _memory_mib(mesh)
    finally:
        await api.close()


async def _deploy(mesh: ColdMesh, api: HttpApi, figures: _Figures) -> None:
    image = [*EVENTMESH, "images", "add", "tiny", str(FUNCTION)]
    environment = mesh.process.environment()
    await asyncio.to_thread(subprocess.run, image, check=True, stdout=subprocess.DEVNULL, env=environment)
    settings = {**mesh.quick_sleep(), "allow-zero-initial-scale": "true"}
    await api.patch(CONFIG_MAP, "config-autoscaler", {"data": settings}, "knative-serving")
    gate = asyncio.Semaphore(AT_ONCE)
    began = time.monotonic()
    done = 0

    async def one(number: int) -> None:
        nonlocal done
        name = f"crowd-{number}"
        revisions = REVISIONS // SERVICES + (number < REVISIONS % SERVICES)
        async with gate:
            await create(api, KSERVICE, name, {"spec": {"template": _template(0)}})
            await _ready(api, name, 1)
            for generation in range(1, revisions):
                await api.patch(KSERVICE, name, {"spec": {"template": _template(generation)}}, NAMESPACE)
                await _ready(api, name, generation + 1)
        done += 1
        report.progress(f"{done} of {SERVICES} functions deployed")

    await asyncio.gather(*(one(number) for number in range(SERVICES)))
    figures.deployed_s = time.monotonic() - began


def _template(generation: int) -> Object:
    container = {"image": "dev.local/tiny", "env": [{"name": "GENERATION", "value": str(generation)}]}
    annotations = {"autoscaling.knative.dev/initial-scale": "0"}
    return {"metadata": {"annotations": annotations}, "spec": {"containers": [container]}}


async def _ready(api: HttpApi, name: str, generation: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await api.get(KSERVICE, name, NAMESPACE)
            observed = (found.get("status") or {}).get("observedGeneration")
            if observed == found["metadata"]["generation"] == generation and is_ready(found):
                return
            await asyncio.sleep(0.1)


async def _list(mesh: ColdMesh, figures: _Figures) -> None:
    """Ask for whole lists, as kn does, and read them to the last byte; decoding them is the client's own affair."""
    config = await load_config(mesh.process.kubeconfig)
    assert config.token is not None  # noqa: S101  # a local mesh's kubeconfig holds one
    headers = {"Authorization": f"Bearer {config.token()}"}
    connector = aiohttp.TCPConnector(ssl=config.tls or False)
    async with aiohttp.ClientSession(config.server, connector=connector, headers=headers) as session:
        for resource, times in ((KSERVICE, figures.list_services_ms), (REVISION, figures.list_revisions_ms)):
            report.progress(f"listing {resource.plural}")
            for _ in range(LISTS):
                began = time.monotonic()
                async with session.get(resource.path(NAMESPACE)) as answer:
                    answer.raise_for_status()
                    await answer.read()
                times.append((time.monotonic() - began) * 1e3)


def _kn_create(mesh: ColdMesh, number: int) -> None:
    command = ["kn", "service", "create", f"late-{number}", "--image", "dev.local/tiny"]
    path = f"{os.getcwd()}/.tools/bin:{os.environ['PATH']}"
    environment = {**mesh.process.environment(), "PATH": path}
    subprocess.run(command, check=True, capture_output=True, env=environment)


def _memory_mib(mesh: ColdMesh) -> float:
    """Return the proportional memory of all processes of the mesh."""
    rows = [rss_and_pss_mib(pid) for pids in mesh.data_planes().values() for pid in pids]
    return sum(row[1] for row in rows if row is not None)


def _print(mesh: ColdMesh, figures: _Figures) -> None:
    print(f"\nA crowd: {SERVICES} functions with {REVISIONS} revisions, all at zero")
    each = figures.deployed_s / REVISIONS * 1e3
    print(f"  deployed in {figures.deployed_s:.0f} s, {AT_ONCE} at a time: {each:.0f} ms a revision")
    print(f"  {'ms':34}{'p50':>8}{'p99':>8}{'max':>8}")
    lists = {"list functions": figures.list_services_ms, "list revisions": figures.list_revisions_ms}
    for name, values in lists.items():
        print(f"  {name:34}{statistics.median(values):8.1f}{report.percentile(values, 99):8.1f}{max(values):8.1f}")
    print(f"  memory of all processes: {figures.empty_mib:.0f} MiB empty, {figures.full_mib:.0f} MiB with the crowd")
    print(report.limit_bar("list p99", max(report.percentile(values, 99) for values in lists.values()), LIST_MS, "ms"))
    print(report.limit_bar("kn service create, median", statistics.median(figures.create_s), CREATE_S, "s"))
    print(report.limit_bar("up to ready, empty", mesh.ready_s, UP_S, "s"))
    print(report.limit_bar("up to ready, with the crowd", figures.restarted_s, UP_S, "s"))
    print(report.limit_bar("memory, empty", figures.empty_mib, IDLE_MIB, "MiB"))
    report.save(
        "crowd",
        {
            **lists,
            "create_s": figures.create_s,
            "memory_mib": [figures.empty_mib, figures.full_mib],
            "up_s": [mesh.ready_s, figures.restarted_s],
            "deployed_s": figures.deployed_s,
        },
    )
