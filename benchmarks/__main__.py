"""`python -m benchmarks`: interleaved rounds, medians, and the bars of the design beside what was measured."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contenders, load
from benchmarks.contenders import Contender
from benchmarks.load import LoadResult


@dataclass(frozen=True, slots=True)
class Case:
    """One table: a protocol and a number of connections."""

    title: str
    http2: bool
    connections: int
    run: Callable[[int, int, float], LoadResult]
    bars: dict[str, float]
    """Rival -> highest ratio of our CPU per request to the rival's."""


CASES = (
    Case("HTTP/1.1, 64 connections, 1 KiB", False, 64, load.http1, {"envoy": 0.40, "haproxy": 1.0}),
    Case("HTTP/1.1, 1 connection, 1 KiB", False, 1, load.http1, {"envoy": 0.40, "haproxy": 1.0}),
    Case("HTTP/2, 6 connections x 10 streams, 1 KiB", True, 6, load.http2, {"envoy": 0.20}),
    Case("HTTP/2, 1 connection x 10 streams, 1 KiB", True, 1, load.http2, {"envoy": 0.20}),
)


def main() -> int:
    """Run every case; return 0 when each answer was a 200 (bars are printed, never a test)."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of load in each round (default 3)")
    parser.add_argument("--only", default="", help="run the cases whose title contains this")
    parser.add_argument("--contenders", default=",".join(contenders.NAMES), help="comma-separated")
    args = parser.parse_args()
    results = {}
    failed = 0
    for case in CASES:
        if args.only in case.title:
            samples, errors = _measure(case, args.contenders.split(","), args.rounds, args.seconds)
            failed += errors
            results[case.title] = samples
            _print(case, samples)
    directory = Path("benchmarks/results")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "wire.json").write_text(json.dumps(results, indent=1))
    return 1 if failed else 0


Samples = dict[str, dict[str, list[float]]]


def _measure(case: Case, names: list[str], rounds: int, seconds: float) -> tuple[Samples, int]:
    backend_port, backend = contenders.start_backend(case.http2)
    plain_port, plain = contenders.start_backend(False)
    running: list[Contender] = []
    samples: Samples = defaultdict(lambda: defaultdict(list))
    failed = 0
    try:
        for name in names:
            # nginx speaks HTTP/1.1 to its upstreams whatever comes in.
            port, server = (plain_port, plain) if name == "nginx" else (backend_port, backend)
            running.append(contenders.start(name, port, server, http2=case.http2))
            case.run(running[-1].port, case.connections, 1.0)
        for number in range(rounds):
            for contender in running:
                sys.stderr.write(f"\r{case.title}: round {number + 1}/{rounds} {contender.name:10}")
                before = contender.server.cpu_s()
                result = case.run(contender.port, case.connections, seconds)
                used = contender.server.cpu_s() - before
                failed += _report_failures(case, contender, result)
                row = samples[contender.name]
                row["cpu_us"].append(used / max(1, result.requests) * 1e6)
                row["rps"].append(result.per_second)
                row["rss_mib"].append(contender.server.rss_mib())
    finally:
        sys.stderr.write("\r" + " " * 78 + "\r")
        for contender in running:
            if contender.name != "direct":
                contender.server.stop()
        backend.stop()
        plain.stop()
    return samples, failed


def _report_failures(case: Case, contender: Contender, result: LoadResult) -> int:
    if result.failed:
        sys.stderr.write(f"\n{case.title}: {contender.name}: {result.failed} of {result.requests} not answered 200\n")
    return result.failed


def _print(case: Case, samples: Samples) -> None:
    print(f"\n{case.title}")
    print(
        f"  {'contender':12}{'CPU us/request':>16}{'(min-max)':>18}{'requests/s':>12}{'RSS MiB':>9}{'ours/theirs':>13}"
    )
    ours = statistics.median(samples["eventmesh"]["cpu_us"]) if "eventmesh" in samples else None
    for name, row in samples.items():
        cpu = statistics.median(row["cpu_us"])
        spread = f"({min(row['cpu_us']):.1f}-{max(row['cpu_us']):.1f})"
        ratio = "" if ours is None or name in ("eventmesh", "direct") else f"{ours / cpu:.2f}"
        rps, rss = statistics.median(row["rps"]), statistics.median(row["rss_mib"])
        print(f"  {name:12}{cpu:16.1f}{spread:>18}{rps:12.0f}{rss:9.1f}{ratio:>13}")
    for rival, bar in case.bars.items():
        if ours is not None and rival in samples:
            ratio_value = ours / statistics.median(samples[rival]["cpu_us"])
            verdict = "held" if ratio_value <= bar else "NOT held"
            print(f"  bar: at most {bar:.2f} x {rival}: {ratio_value:.2f}, {verdict}")


if __name__ == "__main__":
    sys.exit(main())
