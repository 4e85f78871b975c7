"""Bolt through the sidecar beside direct: CPU per message, messages per second."""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections import defaultdict

from benchmarks import bolt, report

CONNECTIONS, WINDOW = 4, 64


def run(args: argparse.Namespace) -> int:
    """Print the table; return how many answers carried a wrong id, and rounds had no answer."""
    backend_port, backend = bolt.start_backend()
    sidecar_port, sidecar = bolt.start_sidecar(backend_port)
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    wrong = 0
    try:
        for number in range(args.rounds):
            for name, port, server in (("direct", backend_port, backend), ("eventmesh", sidecar_port, sidecar)):
                report.progress(f"Bolt: round {number + 1}/{args.rounds} {name}")
                before = server.cpu_s()
                result = asyncio.run(bolt.load(port, CONNECTIONS, WINDOW, args.seconds))
                used = server.cpu_s() - before
                wrong += result.wrong + (not result.messages)
                rows[name]["cpu_us"].append(used / max(1, result.messages) * 1e6)
                rows[name]["mps"].append(result.messages / result.seconds)
    finally:
        report.clear_progress()
        sidecar.stop()
        backend.stop()
    print(f"\nBolt, {CONNECTIONS} connections x {WINDOW} calls in flight, 100 bytes")
    print(f"  {'':12}{'CPU us/message':>16}{'messages/s':>12}")
    for name, row in rows.items():
        print(f"  {name:12}{statistics.median(row['cpu_us']):16.2f}{statistics.median(row['mps']):12.0f}")
    report.save("bolt", rows)
    return wrong
