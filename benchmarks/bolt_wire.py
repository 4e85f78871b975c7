"""Bolt and a declared protocol through the sidecar, beside direct, a bare proxy in C, MOSN and proxies of bytes."""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections import defaultdict
from dataclasses import dataclass

from benchmarks import bolt, bolt_rivals, report
from benchmarks.bolt_rivals import ENVOY, FLOOR, HAPROXY, MOSN
from benchmarks.measure import Server

CONNECTIONS, WINDOW = 4, 64
OURS = "bolt"
FLOOR_BAR, FLOOR_TO_HAPROXY_BAR, LATENCY_BAR = 2.0, 1.3, 1.3
"""Highest ratios: our CPU per message to the bare proxy's, its own to HAProxy's, our latency of a call to Envoy's."""
MOSN_BAR = 0.2
"""Our CPU per message to MOSN's: at least five times as many messages a CPU second."""
DECLARED_BAR = 1.25
"""A declared protocol's CPU per message to Bolt's: at least 0.8 times as many messages a CPU second."""

Rows = dict[str, dict[str, list[float]]]


@dataclass(frozen=True, slots=True)
class Contender:
    """A running server or proxy of one protocol."""

    name: str
    protocol: str
    port: int
    server: Server


def run(args: argparse.Namespace) -> int:
    """Print the tables; return how many answers carried a wrong id, and rounds had no answer."""
    running: list[Contender] = []
    wrong = 0
    try:
        for protocol in bolt.PROTOCOLS:
            port, server = bolt.start_backend(protocol)
            running.append(Contender(f"{protocol} direct", protocol, port, server))
            running.append(Contender(protocol, protocol, *bolt.start_sidecar(protocol, port)))
            if protocol == OURS:
                for name in bolt_rivals.at_hand():
                    running.append(Contender(name, protocol, *bolt_rivals.start(name, port)))
        pipelined, errors = _measure(running, args, CONNECTIONS, WINDOW)
        wrong += errors
        single, errors = _measure([one for one in running if one.protocol == OURS], args, 1, 1)
        wrong += errors
    finally:
        report.clear_progress()
        for one in reversed(running):
            one.server.stop()
    _print_pipelined(pipelined)
    _print_single(single)
    if wrong:
        print(f"\n  {wrong} answers with a wrong id, and rounds without an answer: no figure above counts")
    report.save("bolt", {"pipelined": pipelined, "one call": single})
    return wrong


def _measure(running: list[Contender], args: argparse.Namespace, connections: int, window: int) -> tuple[Rows, int]:
    rows: Rows = defaultdict(lambda: defaultdict(list))
    wrong = 0
    for number in range(args.rounds):
        for one in running:
            report.progress(f"Bolt, {connections} x {window}: round {number + 1}/{args.rounds} {one.name}")
            before = one.server.cpu_s()
            result = asyncio.run(bolt.load(one.protocol, one.port, connections, window, args.seconds))
            used = one.server.cpu_s() - before
            wrong += result.wrong + (not result.messages)
            rows[one.name]["cpu_us"].append(used / max(1, result.messages) * 1e6)
            rows[one.name]["mps"].append(result.messages / result.seconds)
            rows[one.name]["latency_us"].append(result.seconds / max(1, result.messages) * connections * window * 1e6)
    return rows, wrong


def _print_pipelined(rows: Rows) -> None:
    print(f"\nFrames, {CONNECTIONS} connections x {WINDOW} calls in flight, 100 bytes")
    print(f"  {'':14}{'CPU us/message':>16}{'messages/s':>12}")
    for name, row in rows.items():
        print(f"  {name:14}{statistics.median(row['cpu_us']):16.2f}{statistics.median(row['mps']):12.0f}")
    cost = {name: statistics.median(row["cpu_us"]) for name, row in rows.items()}
    print(report.limit_bar("a declared protocol, CPU per message", cost["motan2"] / cost[OURS], DECLARED_BAR, "x Bolt"))
    print(report.limit_bar("CPU per message", cost[OURS] / cost[FLOOR], FLOOR_BAR, f"x {FLOOR}"))
    if MOSN in cost:
        print(report.limit_bar("CPU per message", cost[OURS] / cost[MOSN], MOSN_BAR, f"x {MOSN}"))
    else:
        print("  MOSN is neither on PATH nor in $EVENTMESH_MOSN: left out")
    print(report.limit_bar(f"{FLOOR}, per byte", cost[FLOOR] / cost[HAPROXY], FLOOR_TO_HAPROXY_BAR, f"x {HAPROXY}"))


def _print_single(rows: Rows) -> None:
    print("\nBolt, one connection, one call at a time")
    print(f"  {'':14}{'latency us':>16}{'CPU us/message':>16}")
    latency = {name: statistics.median(row["latency_us"]) for name, row in rows.items()}
    for name, row in rows.items():
        print(f"  {name:14}{latency[name]:16.1f}{statistics.median(row['cpu_us']):16.2f}")
    print(report.limit_bar("latency", latency[OURS] / latency[ENVOY], LATENCY_BAR, f"x {ENVOY}"))
