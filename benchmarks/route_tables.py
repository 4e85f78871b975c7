"""What a request costs among few routes and among many: CPU time per request, requests to every route in turn."""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict

from benchmarks import contenders, load, report
from benchmarks.scene import PATHS, host_names

FEW, MANY = 10, 10_000
CONNECTIONS = 64
WARM_UP_S = 1.0
BAR = 1.2
"""Highest ratio of a request's cost among many routes to that among few."""


def run(args: argparse.Namespace) -> int:
    """Print the table; return how many requests were not answered 200."""
    failed = 0
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    port, backend = contenders.start_backend(False)
    running = []
    try:
        for name in ("eventmesh", "envoy"):
            for routes in (FEW, MANY):
                hosts = host_names(-(-routes // len(PATHS)))
                running.append((name, routes, hosts, contenders.start(name, port, backend, http2=False, hosts=hosts)))
                load.http1(running[-1][-1].port, CONNECTIONS, WARM_UP_S, hosts=hosts)
        for number in range(args.rounds):
            for name, routes, hosts, contender in running:
                report.progress(f"routes: round {number + 1}/{args.rounds} {name} {routes}")
                before = contender.server.cpu_s()
                result = load.http1(contender.port, CONNECTIONS, args.seconds, hosts=hosts)
                used = contender.server.cpu_s() - before
                rows[name][f"{routes}"].append(used / max(1, result.requests) * 1e6)
                failed += result.failed
    finally:
        report.clear_progress()
        for *_, contender in running:
            contender.server.stop()
        backend.stop()
    print(f"\nRoutes: HTTP/1.1, {CONNECTIONS} connections, three routes a host, every route in turn")
    print(f"  {'CPU us/request':14}{f'{FEW} routes':>16}{f'{MANY:,} routes':>16}{'many/few':>10}")
    for name, row in rows.items():
        few, many = statistics.median(row[f"{FEW}"]), statistics.median(row[f"{MANY}"])
        print(f"  {name:14}{few:16.1f}{many:16.1f}{many / few:10.2f}")
        if name == "eventmesh":
            verdict = report.limit_bar(f"{MANY:,} routes against {FEW}", many / few, BAR, "x")
    print(verdict)
    report.save("routes", rows)
    return failed
