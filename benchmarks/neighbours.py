"""What bad neighbours cost a good one: the 99th percentile of a polite client with and without them, and memory."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import cast

from benchmarks import bolt, contenders, load, report
from benchmarks.contenders import Contender
from benchmarks.measure import Server

P99_BAR, MEMORY_BAR_MIB = 2.0, 32.0
RATE, CONNECTIONS = 1_000.0, 4
LARGE_BYTES, LARGE_RATE = 256 * 1024, 100.0
"""Of the answers that slow readers do not take, and a polite client beside them does."""
CALLERS, CALL_EVERY_S = 63, 0.02

Rows = dict[str, dict[str, list[float]]]
Polite = Callable[[], list[float]]
"""Behaves for a while; returns how many microseconds each answer took."""


def run(args: argparse.Namespace) -> int:
    """Print the table; return how many polite requests were not answered as they should."""
    with ExitStack() as running:
        http_port, http_backend = contenders.start_backend(False)
        running.callback(http_backend.stop)
        large_port, large_backend = contenders.start_backend(False, LARGE_BYTES)
        running.callback(large_backend.stop)
        bolt_port, bolt_backend = bolt.start_backend("bolt")
        running.callback(bolt_backend.stop)
        proxy = contenders.start("eventmesh", http_port, http_backend, http2=False)
        running.callback(proxy.server.stop)
        large = contenders.start("eventmesh", large_port, large_backend, http2=False)
        running.callback(large.server.stop)
        frames_port, frames = bolt.start_sidecar("bolt", bolt_port)
        running.callback(frames.stop)
        rows, failed = _measure(args, proxy, large, frames_port, frames)
    _print(rows)
    report.save("neighbours", rows)
    return failed


def _measure(
    args: argparse.Namespace, proxy: Contender, large: Contender, frames_port: int, frames: Server
) -> tuple[Rows, int]:
    failed: list[int] = []

    def asking(port: int, rate: float) -> list[float]:
        result, took = load.paced(port, CONNECTIONS, rate, args.seconds, http2=False)
        failed.append(result.failed)
        return [float(us) for us in took]

    def browser() -> list[float]:
        return asking(proxy.port, RATE)

    def downloader() -> list[float]:
        return asking(large.port, LARGE_RATE)

    def callers() -> list[float]:
        return asyncio.run(_call(frames_port, args.seconds))

    rows: Rows = defaultdict(lambda: defaultdict(list))
    try:
        for polite in (browser, downloader, callers):
            polite()
        for number in range(args.rounds):
            for kind in ("trickle", "pings", "resets", "bombs"):
                report.progress(f"neighbours: round {number + 1}/{args.rounds} {kind}")
                _round(browser, kind, proxy.port, proxy.server, rows)
            report.progress(f"neighbours: round {number + 1}/{args.rounds} slow_readers")
            _round(downloader, "slow_readers", large.port, large.server, rows)
            _round(callers, "stalled_bolt", frames_port, frames, rows)
    finally:
        report.clear_progress()
    return rows, sum(failed)


def _round(polite: Polite, kind: str, port: int, server: Server, rows: Rows) -> None:
    calm, before = _p99(polite()), server.rss_mib()
    directory = Path(mkdtemp(prefix="bench-hostile-"))
    argv = [sys.executable, "-m", "benchmarks.hostile", kind, str(port)]
    hostile = Server(argv, directory, cpus=contenders.others())
    try:
        polite()  # until they have all come
        rows[kind]["beside_ms"].append(_p99(polite()))
        rows[kind]["mib"].append(server.rss_mib() - before)
        if hostile.process.poll() is not None:
            raise RuntimeError(f"{kind} gave up:\n{hostile.output()}")
    finally:
        hostile.stop()
    rows[kind]["calm_ms"].append(calm)


def _p99(took: list[float]) -> float:
    return report.percentile(took, 99) / 1e3


class _Caller(asyncio.Protocol):
    """Calls, waits for the answer, rests, and calls again."""

    def __init__(self, took: list[float]) -> None:
        self._took = took
        self._loop = asyncio.get_running_loop()
        self._frames = bolt.PROTOCOLS["bolt"]
        self._have = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._call()

    def _call(self) -> None:
        if not self.transport.is_closing():
            self._sent = self._loop.time()
            self.transport.write(self._frames.request)

    def data_received(self, data: bytes) -> None:
        self._have += len(data)
        if self._have >= len(self._frames.response):
            self._have = 0
            self._took.append((self._loop.time() - self._sent) * 1e6)
            self._loop.call_later(CALL_EVERY_S, self._call)


async def _call(port: int, seconds: float) -> list[float]:
    took: list[float] = []
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: _Caller(took), "127.0.0.1", port) for _ in range(CALLERS)]
    await asyncio.sleep(seconds)
    for transport, _ in made:
        transport.abort()
    return took


def _print(rows: Rows) -> None:
    print(
        f"\nNeighbours: {RATE:.0f} polite requests a second, {LARGE_RATE:.0f} of {LARGE_BYTES // 1024} KiB beside slow "
        f"readers; {CALLERS} callers of Bolt beside one that takes no answers"
    )
    print(f"  {'':14}{'p99 alone ms':>14}{'p99 beside ms':>15}{'more MiB':>10}")
    for kind, row in rows.items():
        calm, beside, mib = (statistics.median(row[column]) for column in ("calm_ms", "beside_ms", "mib"))
        print(f"  {kind:14}{calm:14.2f}{beside:15.2f}{mib:10.1f}")
    worst = max(statistics.median(row["beside_ms"]) / statistics.median(row["calm_ms"]) for row in rows.values())
    print(report.limit_bar("a polite client's p99", worst, P99_BAR, "x what it is alone"))
    most = max(max(row["mib"]) for row in rows.values())
    print(report.limit_bar("memory", most, MEMORY_BAR_MIB, "MiB more"))
