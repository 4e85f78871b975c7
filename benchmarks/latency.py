"""Latency at a fixed rate: 70 % of the most that Envoy carries, asked of every contender in turn."""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict

from benchmarks import contenders, load, report
from benchmarks.contenders import Contender

SHARE = 0.70
CONNECTIONS = 16
NAMES = ("direct", "eventmesh", "envoy", "haproxy")
P99_BAR = 1.1
"""Highest ratio of our p99 to Envoy's."""

Samples = dict[str, dict[str, list[float]]]


def run(args: argparse.Namespace) -> int:
    """Print a table for HTTP/1.1 and one for HTTP/2; return how many requests were not answered 200."""
    failed = 0
    results = {}
    for http2 in (False, True):
        title = "HTTP/2" if http2 else "HTTP/1.1"
        rate, samples, errors = _measure(title, args.rounds, args.seconds, http2=http2)
        failed += errors
        results[title] = samples
        _print(f"{title}, {CONNECTIONS} connections, {rate:.0f} requests a second", samples)
    report.save("latency", results)
    return failed


def _measure(title: str, rounds: int, seconds: float, *, http2: bool) -> tuple[float, Samples, int]:
    port, backend = contenders.start_backend(http2)
    running: dict[str, Contender] = {}
    samples: Samples = defaultdict(lambda: defaultdict(list))
    failed = 0
    try:
        for name in NAMES:
            running[name] = contenders.start(name, port, backend, http2=http2)
            load.unpaced(running[name].port, CONNECTIONS, 1, http2=http2)
        most = load.unpaced(running["envoy"].port, CONNECTIONS, seconds, http2=http2)
        rate = SHARE * most.per_second
        for number in range(rounds):
            for name, contender in running.items():
                report.progress(f"{title} at {rate:.0f}/s: round {number + 1}/{rounds} {name}")
                result, took = load.paced(contender.port, CONNECTIONS, rate, seconds, http2=http2)
                failed += result.failed
                samples[name]["p50"].append(report.percentile(took, 50) / 1e3)
                samples[name]["p99"].append(report.percentile(took, 99) / 1e3)
                samples[name]["rate"].append(result.per_second)
    finally:
        report.clear_progress()
        for name, contender in running.items():
            if name != "direct":
                contender.server.stop()
        backend.stop()
    return rate, samples, failed


def _print(title: str, samples: Samples) -> None:
    print(f"\n{title} ({SHARE:.0%} of Envoy's most)")
    print(f"  {'':12}{'p50 ms':>9}{'p99 ms':>9}{'(min-max)':>16}{'requests/s':>12}")
    for name, row in samples.items():
        spread = f"({min(row['p99']):.2f}-{max(row['p99']):.2f})"
        p50, p99, rate = (statistics.median(row[column]) for column in ("p50", "p99", "rate"))
        print(f"  {name:12}{p50:9.2f}{p99:9.2f}{spread:>16}{rate:12.0f}")
    print(f"  p99: {report.ratio_bar(samples, 'p99', 'envoy', P99_BAR).strip()}")
