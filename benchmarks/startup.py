"""From exec to the first answered request, and resident memory: how much a sidecar costs a pod that does nothing."""

from __future__ import annotations

import argparse
import http.client
import statistics
import time

from benchmarks import contenders, load, report
from benchmarks.scene import EDIT, HOSTS, PATHS

STARTS = 7
EXEC_TO_ANSWER_MS = 150.0
STATIC_MIB = 30.0
BUSY_MIB = 60.0
"""With 1,000 connections that have carried requests."""


def run(args: argparse.Namespace) -> int:
    """Print the figures; return how many starts failed."""
    backend_port, backend = contenders.start_backend(False)
    times: dict[str, list[float]] = {name: [] for name in ("eventmesh", "envoy")}
    idle: dict[str, list[float]] = {name: [] for name in times}
    busy: dict[str, float] = {}
    try:
        for number in range(STARTS):
            for name in times:
                report.progress(f"start {number + 1}/{STARTS} {name}")
                contender = contenders.start(name, backend_port, backend, http2=False, wait=False)
                times[name].append(_first_answer(contender) * 1e3)
                idle[name].append(contender.server.rss_mib())
                if number == 0:
                    load.http1(contender.port, 1000, 2.0)
                    busy[name] = contender.server.rss_mib()
                contender.server.stop()
    finally:
        report.clear_progress()
        backend.stop()
    print("\nStart and memory")
    print(f"  {'':12}{'exec to answer ms':>18}{'RSS MiB':>9}{'1,000 connections':>19}")
    for name, row in times.items():
        print(f"  {name:12}{statistics.median(row):18.0f}{statistics.median(idle[name]):9.1f}{busy[name]:19.1f}")
    print(report.limit_bar("exec to answer", statistics.median(times["eventmesh"]), EXEC_TO_ANSWER_MS, "ms"))
    print(report.limit_bar("memory, static bootstrap", statistics.median(idle["eventmesh"]), STATIC_MIB, "MiB"))
    print(report.limit_bar("memory, 1,000 connections", busy["eventmesh"], BUSY_MIB, "MiB"))
    report.save("startup", {"exec_to_answer_ms": times, "idle_mib": idle, "busy_mib": busy})
    return 0


def _first_answer(contender: contenders.Contender) -> float:
    """Return the seconds from exec to the first answered request."""
    deadline = contender.server.started_at + 20
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=5)
        try:
            connection.request("GET", f"{PATHS[0]}/x", headers={"Host": HOSTS[0], EDIT[0]: EDIT[1]})
            if connection.getresponse().status == 200:
                return time.monotonic() - contender.server.started_at
        except OSError:
            time.sleep(0.001)
        finally:
            connection.close()
    raise RuntimeError(f"{contender.name} did not answer within 20 s")
