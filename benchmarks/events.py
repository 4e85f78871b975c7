"""Durable events accepted a second, each on disk before it is acknowledged, beside JetStream that syncs always; and
how long ours take to their subscriber at a steady rate, and how fast it gets them once more."""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks import event_contenders, event_latency, event_load, report
from benchmarks.event_contenders import EventContender
from benchmarks.event_latency import Latency

PRODUCERS = 64
MAKERS = {
    "eventmesh": event_load.HttpProducer,
    "over-jetstream": event_load.HttpProducer,
    "over-kafka": event_load.HttpProducer,
    "jetstream": event_load.NatsProducer,
}


def run(args: argparse.Namespace) -> int:
    """Print the table; return how many events were answered wrongly."""
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    wrong = 0
    running: list[EventContender] = []
    names = [name for name in event_contenders.NAMES if args.only in name] or event_contenders.NAMES
    try:
        running += [event_contenders.start(name) for name in names]
        for number in range(args.rounds):
            for contender in running:
                report.progress(f"events: round {number + 1}/{args.rounds} {contender.name}")
                before = contender.cpu_s()
                result = event_load.run(MAKERS[contender.name], contender.port, PRODUCERS, args.seconds)
                used = contender.cpu_s() - before
                wrong += result.wrong
                row = rows[contender.name]
                row["accepted_per_s"].append(result.accepted / result.seconds)
                row["cpu_us"].append(used / max(1, result.accepted) * 1e6)
                row["p50_ms"].append(result.p50_ms)
                row["p99_ms"].append(result.p99_ms)
        for contender in running:
            contender.stop()
        running.clear()
        for name in names:
            report.progress(f"events: syncs of {name}")
            running.append(event_contenders.start(name, traced=True))
            began = running[-1].syncs()
            result = event_load.run(MAKERS[name], running[-1].port, PRODUCERS, args.seconds)
            rows[name]["per_sync"].append(result.accepted / max(1, running[-1].syncs() - began))
    finally:
        report.clear_progress()
        for contender in running:
            contender.stop()
        _clear()
    _print(rows)
    latencies, replayed = event_latency.measured(args.seconds, args.rounds) if "eventmesh" in names else ([], 0.0)
    report.clear_progress()
    if latencies:
        _print_latencies(latencies)
        print(f"  replayed to the same subscriber: {replayed:,.0f} a second over HTTP/1.1, each end on disk")
    delivered = [asdict(latency) for latency in latencies]
    report.save("events", {"accepted": rows, "delivered": delivered, "replayed_per_s": replayed})
    return wrong + sum(latency.lost for latency in latencies)


def _clear() -> None:
    for directory in report.RESULTS.glob("events-*-*"):
        shutil.rmtree(directory)


def _print_latencies(latencies: Sequence[Latency]) -> None:
    p50, p99 = (
        statistics.median(column) for column in zip(*((one.p50_ms, one.p99_ms) for one in latencies), strict=True)
    )
    lost, sent = sum(one.lost for one in latencies), sum(one.sent for one in latencies)
    print(f"\nFrom sender to subscriber at {event_latency.RATE:,} events of 1 KiB a second, on disk in between")
    print(f"  p50 {p50:.1f} ms, p99 {p99:.1f} ms; {lost} of {sent:,} did not come")


def _print(rows: report.Rows) -> None:
    print(f"\nDurable events of 1 KiB, {PRODUCERS} producers, each event on disk before it is acknowledged")
    print(f"  {'':16}{'accepted/s':>12}{'events/sync':>13}{'CPU us/event':>14}{'p50 ms':>9}{'p99 ms':>9}")
    for name, row in rows.items():
        figures = {column: statistics.median(values) for column, values in row.items()}
        print(
            f"  {name:16}{figures['accepted_per_s']:12.0f}{figures['per_sync']:13.1f}{figures['cpu_us']:14.0f}"
            f"{figures['p50_ms']:9.1f}{figures['p99_ms']:9.1f}"
        )
    if "jetstream" not in rows:
        return
    for ours in (name for name in rows if name != "jetstream"):
        _compare(rows, ours)


def _compare(rows: report.Rows, ours: str) -> None:
    ratio = report.median(rows, ours, "accepted_per_s") / report.median(rows, "jetstream", "accepted_per_s")
    print(f"  bar: {ours} at least 1.00 x jetstream: {ratio:.2f}, {report.verdict(ratio >= 1)}")
