"""The first answer of a function at zero: how much of it is the mesh's own share.

Share = first answer through the mesh, minus the median of direct runs of the same command, interleaved. The mesh's
clock starts when the caller connects; a direct run's starts at exec, so the share holds all that a sleeping function
costs beyond its own start: holding the request, deciding, writing objects, the sidecar, the routes, the forwarding.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from dataclasses import dataclass, field

from benchmarks import report
from benchmarks.cold_mesh import NAMESPACE, ColdMesh, rss_and_pss_mib
from benchmarks.cold_phases import Marks, print_phases
from benchmarks.direct import Program, first_answer_s
from eventmesh.kube.client import HttpApi

FUNCTIONS = 20
PAUSE_S = 0.4
"""Between two wakes, so that what one leaves to do is not charged to the next."""
SHARE_MS = 50.0
SHARE_P99_MS = 100.0
UP_S = 2.0
SIDECAR_MIB = 45.0


@dataclass(slots=True)
class _Figures:
    direct: list[float] = field(default_factory=list)
    request: list[float] = field(default_factory=list)
    event: list[float] = field(default_factory=list)
    accept: list[float] = field(default_factory=list)
    phases: list[dict[str, float]] = field(default_factory=list)
    memory: dict[str, tuple[float, float]] = field(default_factory=dict)


def run(args: argparse.Namespace) -> int:
    """Print the figures; return 0, or raise RuntimeError when a function did not answer."""
    report.progress("starting a mesh")
    mesh = ColdMesh(FUNCTIONS)
    try:
        figures = asyncio.run(_measure(mesh, args.rounds))
    finally:
        report.clear_progress()
        mesh.stop()
    _print(mesh, figures)
    return 0


async def _measure(mesh: ColdMesh, rounds: int) -> _Figures:
    figures = _Figures()
    api = await mesh.api()
    try:
        report.progress(f"deploying {FUNCTIONS} functions")
        await mesh.deploy(api)
        program = await asyncio.to_thread(mesh.program)
        for round_ in range(1, rounds + 1):
            await _fall_asleep(mesh, api)
            for name in mesh.names:
                report.progress(f"round {round_}: request to {name}")
                figures.request.append(await _request(mesh, name))
                figures.direct.append(await _direct(program))
        figures.memory = _memory(mesh.data_planes())
        await _fall_asleep(mesh, api)
        for name in mesh.names:
            report.progress(f"event to {name}")
            accept, received = await _event(mesh, name)
            figures.accept.append(accept)
            figures.event.append(received)
            figures.direct.append(await _direct(program))
        await _fall_asleep(mesh, api)
        # A round of its own: to be watched costs the API some milliseconds a wake.
        async with Marks(api, NAMESPACE) as marks:
            for name in mesh.names:
                report.progress(f"phases of {name}")
                answer = await asyncio.to_thread(mesh.call, name)
                await asyncio.sleep(PAUSE_S)
                figures.phases.append(marks.phases(name, answer))
    finally:
        await api.close()
    return figures


async def _fall_asleep(mesh: ColdMesh, api: HttpApi) -> None:
    report.progress("waiting until all functions sleep")
    await mesh.asleep(api)


async def _request(mesh: ColdMesh, name: str) -> float:
    answer = await asyncio.to_thread(mesh.call, name)
    await asyncio.sleep(PAUSE_S)
    return (answer.answered - answer.asked) * 1e3


async def _event(mesh: ColdMesh, name: str) -> tuple[float, float]:
    """Return the milliseconds from sending to the broker's 202, and from there to the function."""
    sent, accepted = await asyncio.to_thread(mesh.send, name)
    await asyncio.sleep(PAUSE_S)
    while not (answer := await asyncio.to_thread(mesh.call, name)).event:
        await asyncio.sleep(0.01)
    return (accepted - sent) * 1e3, (answer.event - accepted) * 1e3


async def _direct(program: Program) -> float:
    taken = await asyncio.to_thread(first_answer_s, program)
    await asyncio.sleep(PAUSE_S)
    return taken * 1e3


def _memory(processes: dict[str, list[int]]) -> dict[str, tuple[float, float]]:
    """Return the median resident and proportional MiB of each kind of process."""
    found: dict[str, tuple[float, float]] = {}
    for name, pids in processes.items():
        rows = [row for row in map(rss_and_pss_mib, pids) if row is not None]
        if rows:
            found[name] = (statistics.median(rss for rss, _ in rows), statistics.median(pss for _, pss in rows))
    return found


def _print(mesh: ColdMesh, figures: _Figures) -> None:
    direct = statistics.median(figures.direct)
    rows = {
        "direct: exec to first answer": figures.direct,
        "request: sent to first answer": figures.request,
        "request: the mesh's share": [value - direct for value in figures.request],
        "event: sent to accepted": figures.accept,
        "event: accepted to function": figures.event,
        "event: the mesh's share": [value - direct for value in figures.event],
    }
    print(f"\nCold start, {FUNCTIONS} functions at zero")
    print(f"  {'ms':34}{'p50':>8}{'p90':>8}{'p99':>8}{'max':>8}")
    for name, values in rows.items():
        p90, p99 = report.percentile(values, 90), report.percentile(values, 99)
        print(f"  {name:34}{statistics.median(values):8.1f}{p90:8.1f}{p99:8.1f}{max(values):8.1f}")
    shares = rows["request: the mesh's share"]
    print(report.limit_bar("share of the first answer, p50", statistics.median(shares), SHARE_MS, "ms"))
    print(report.limit_bar("share of the first answer, p99", report.percentile(shares, 99), SHARE_P99_MS, "ms"))
    print_phases(figures.phases)
    print(f"\n  {'memory, MiB':34}{'RSS':>8}{'PSS':>8}")
    for name, (rss, pss) in sorted(figures.memory.items()):
        print(f"  {name:34}{rss:8.1f}{pss:8.1f}")
    print(report.limit_bar("sidecar with ADS, RSS", figures.memory["eventmesh-sidec"][0], SIDECAR_MIB, "MiB"))
    print(report.limit_bar("eventmesh up, exec to ready", mesh.ready_s, UP_S, "s"))
    report.save("cold", {**rows, "phases": figures.phases, "memory": figures.memory, "up_s": mesh.ready_s})
