"""HTTP through a proxy: CPU time per request of every contender, in one interleaved run."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import contenders, load, report
from benchmarks.contenders import Contender
from benchmarks.load import LoadResult
from benchmarks.scene import BODY_BYTES

WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """One table: a protocol and a number of connections."""

    title: str
    http2: bool
    connections: int
    run: Callable[[int, int, float], LoadResult]
    bars: dict[str, float]
    """Rival -> highest ratio of our CPU per request to the rival's."""
    body_bytes: int = BODY_BYTES
    tls: bool = False
    """TLS in front, mTLS behind."""


CASES = (
    Case("HTTP/1.1, 64 connections, 1 KiB", False, 64, load.http1, {"envoy": 0.35, "haproxy": 1.0}),
    Case("HTTP/1.1, 1 connection, 1 KiB", False, 1, load.http1, {"envoy": 0.40, "haproxy": 1.0}),
    Case("HTTP/2, 64 connections x 10 streams, 1 KiB", True, 64, load.http2, {"envoy": 0.15}),
    Case("HTTP/2, 1 connection x 10 streams, 1 KiB", True, 1, load.http2, {"envoy": 0.20}),
    Case("HTTP/1.1 under TLS, mTLS behind, 64 connections, 1 KiB", False, 64, load.https1, {"envoy": 0.60}, tls=True),
    Case("HTTP/1.1, 16 connections, 64 KiB", False, 16, load.http1, {"envoy": 1.0}, 65_536),
    Case("HTTP/1.1, 16 connections, 1 MiB", False, 16, load.http1, {"envoy": 1.0}, 1_048_576),
    Case("HTTP/2, 2 connections x 10 streams, 64 KiB", True, 2, load.http2, {"envoy": 1.0}, 65_536),
    Case("HTTP/2, 2 connections x 10 streams, 1 MiB", True, 2, load.http2, {"envoy": 1.0}, 1_048_576),
)

Samples = dict[str, dict[str, list[float]]]


def run(args: argparse.Namespace) -> int:
    """Run the cases; return how many requests were not answered 200."""
    failed = 0
    results = {}
    for case in CASES:
        if args.only in case.title:
            samples, errors = _measure(case, args.contenders.split(","), args.rounds, args.seconds)
            failed += errors
            results[case.title] = samples
            _print(case, samples)
    report.save("wire", results)
    return failed


def _measure(case: Case, names: list[str], rounds: int, seconds: float) -> tuple[Samples, int]:
    backend_port, backend = contenders.start_backend(case.http2, case.body_bytes, tls=case.tls)
    plain_port, plain = contenders.start_backend(False, case.body_bytes, tls=case.tls)
    running: list[Contender] = []
    samples: Samples = defaultdict(lambda: defaultdict(list))
    failed = 0
    try:
        for name in names:
            if case.tls and name in ("direct", "relay"):
                continue  # wrk has no certificate to show to the backend
            # nginx speaks HTTP/1.1 to its upstreams whatever comes in.
            port, server = (plain_port, plain) if name == "nginx" else (backend_port, backend)
            running.append(contenders.start(name, port, server, http2=case.http2, tls=case.tls))
            case.run(running[-1].port, case.connections, WARM_UP_S)
        for number in range(rounds):
            for contender in running:
                report.progress(f"{case.title}: round {number + 1}/{rounds} {contender.name}")
                failed += _round(case, contender, seconds, samples[contender.name])
    finally:
        report.clear_progress()
        for contender in running:
            if contender.name != "direct":
                contender.server.stop()
        backend.stop()
        plain.stop()
    return samples, failed


def _round(case: Case, contender: Contender, seconds: float, row: dict[str, list[float]]) -> int:
    before = contender.server.cpu_s()
    result = case.run(contender.port, case.connections, seconds)
    used = contender.server.cpu_s() - before
    row["cpu_us"].append(used / max(1, result.requests) * 1e6)
    row["rps"].append(result.per_second)
    row["rss_mib"].append(contender.server.rss_mib())
    if result.failed:
        sys.stderr.write(f"\n{case.title}: {contender.name}: {result.failed} of {result.requests} not answered 200\n")
    return result.failed


def _print(case: Case, samples: Samples) -> None:
    print(f"\n{case.title}")
    print(f"  {'':12}{'CPU us/request':>16}{'(min-max)':>18}{'requests/s':>12}{'RSS MiB':>9}{'ours/theirs':>13}")
    for name, row in samples.items():
        cpu = statistics.median(row["cpu_us"])
        spread = f"({min(row['cpu_us']):.1f}-{max(row['cpu_us']):.1f})"
        compared = "eventmesh" in samples and name not in ("eventmesh", "direct")
        ratio = f"{report.median(samples, 'eventmesh', 'cpu_us') / cpu:.2f}" if compared else ""
        rps, rss = statistics.median(row["rps"]), statistics.median(row["rss_mib"])
        print(f"  {name:12}{cpu:16.1f}{spread:>18}{rps:12.0f}{rss:9.1f}{ratio:>13}")
    for rival, bar in case.bars.items():
        if "eventmesh" in samples and rival in samples:
            print(report.ratio_bar(samples, "cpu_us", rival, bar))
