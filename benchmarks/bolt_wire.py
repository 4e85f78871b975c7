"""Bolt and a declared protocol through the sidecar beside direct: CPU per message, messages per second."""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections import defaultdict

from benchmarks import bolt, report
from benchmarks.measure import Server

CONNECTIONS, WINDOW = 4, 64


def run(args: argparse.Namespace) -> int:
    """Print the table; return how many answers carried a wrong id, and rounds had no answer."""
    servers: list[tuple[str, str, int, Server]] = []
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    wrong = 0
    try:
        for protocol in bolt.PROTOCOLS:
            backend_port, backend = bolt.start_backend(protocol)
            servers.append((f"{protocol} direct", protocol, backend_port, backend))
            servers.append((protocol, protocol, *bolt.start_sidecar(protocol, backend_port)))
        for number in range(args.rounds):
            for name, protocol, port, server in servers:
                report.progress(f"Bolt: round {number + 1}/{args.rounds} {name}")
                before = server.cpu_s()
                result = asyncio.run(bolt.load(protocol, port, CONNECTIONS, WINDOW, args.seconds))
                used = server.cpu_s() - before
                wrong += result.wrong + (not result.messages)
                rows[name]["cpu_us"].append(used / max(1, result.messages) * 1e6)
                rows[name]["mps"].append(result.messages / result.seconds)
    finally:
        report.clear_progress()
        for *_, server in reversed(servers):
            server.stop()
    print(f"\nFrames, {CONNECTIONS} connections x {WINDOW} calls in flight, 100 bytes")
    print(f"  {'':14}{'CPU us/message':>16}{'messages/s':>12}")
    for name, row in rows.items():
        print(f"  {name:14}{statistics.median(row['cpu_us']):16.2f}{statistics.median(row['mps']):12.0f}")
    cost = {name: statistics.median(row["cpu_us"]) for name, row in rows.items()}
    print(f"  a declared protocol carries {cost['bolt'] / cost['motan2']:.2f} x Bolt's messages per CPU second")
    report.save("bolt", rows)
    return wrong
