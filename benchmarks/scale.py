"""Many data planes at one control plane, ours and go-control-plane, by the same clients: `python -m benchmarks scale`.

The clients are one Go program; each has a connection and a delta stream of its own, and wants everything there is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil

from benchmarks.report import clear_progress, limit_bar, progress, save

TOOL = Path(__file__).parents[1] / ".tools" / "bin" / "ads-load"
SERVICES, ENDPOINTS = 1_000, 10
STREAMS = (250, 1_000, 5_000)
"""The smallest crowd is there for the differences: what control holds once for all is a tenth of it."""
CHANGES = 15
WARM_UP = 3
CHANGE_BAR, STORM_BAR, STREAM_BAR_KIB, WHOLE_BAR_MS = 2.0, 3.0, 32.0, 30.0


class Process:
    """A process that is told lines and answers with lines."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._info = psutil.Process(self._process.pid)

    def hear(self, word: str) -> int:
        """Return the number in the next line that begins with `word`; RuntimeError when the process ends before."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith(f"{word} "):
                return int(line.split()[1])
        raise RuntimeError(f"{self._process.args!r} has ended before it said {word!r}")

    def tell(self) -> None:
        """Have one endpoint changed."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    @property
    def rss(self) -> int:
        """Return its resident memory in bytes."""
        return int(self._info.memory_info().rss)

    @property
    def cpu_s(self) -> float:
        """Return the processor time it has taken."""
        times = self._info.cpu_times()
        return float(times.user + times.system)

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@contextmanager
def _running(*argv: str) -> Iterator[Process]:
    process = Process(argv)
    try:
        yield process
    finally:
        process.stop()


SERVERS = {
    "eventmesh": (sys.executable, "-m", "benchmarks.control_server"),
    "go-control-plane": (str(TOOL), "serve"),
}


_COLUMNS = (
    ("storm_ms", "all have all", "ms", 0),
    ("storm_cpu_ms", "CPU", "ms", 0),
    ("broken", "broke meanwhile", "", 0),
    ("change_ms", "a change", "ms", 1),
    ("worst_ms", "the worst", "ms", 1),
    ("change_cpu_ms", "CPU a change", "ms", 1),
    ("storm_kib", "in the storm", "KiB", 1),
    ("stream_kib", "a stream", "KiB", 1),
)


def run(args: argparse.Namespace) -> bool:
    """Print a row for each control plane and number of streams; bars are printed, never a test."""
    sys.stdout.write(
        f"\nscale: {SERVICES} services of {ENDPOINTS} endpoints, delta streams that want all of it; "
        f"{CHANGES} changes of one endpoint, medians\n"
        f"{'streams':>7}  {'control plane':<17}" + "".join(f"{title:>15}" for _, title, _, _ in _COLUMNS) + "\n"
    )
    figures: dict[str, dict[str, float]] = {}
    fewer = 0
    for streams in STREAMS:
        rows = {name: _measured(name, streams) for name in SERVERS}
        for name, row in rows.items():
            figures[f"{name} {streams}"] = row
            cells = (f"{row[key]:.{digits}f} {unit}".rstrip() for key, _, unit, digits in _COLUMNS)
            sys.stdout.write(f"{streams:>7}  {name:<17}" + "".join(f"{cell:>15}" for cell in cells) + "\n")
        sys.stdout.writelines(f"{line}\n" for line in _bars(rows["eventmesh"], rows["go-control-plane"], streams))
        if fewer:
            sys.stdout.write(f"{_one_more(figures, fewer, streams)}\n")
        fewer = streams
    save("scale", figures)
    return False


def _bars(ours: dict[str, float], rival: dict[str, float], streams: int) -> Iterator[str]:
    """Yield a line for each limit."""
    for what, column, bar in (("a change", "change_ms", CHANGE_BAR), ("the storm", "storm_ms", STORM_BAR)):
        yield limit_bar(what, ours[column] / rival[column], bar, "x go-control-plane")
    each = ours["storm_cpu_ms"] / streams
    yield limit_bar("processor time of one client's whole configuration", each, WHOLE_BAR_MS, "ms")
    yield limit_bar("memory of a stream", ours["stream_kib"], STREAM_BAR_KIB, "KiB")


def _one_more(figures: dict[str, dict[str, float]], fewer: int, streams: int) -> str:
    """Return a line that tells what one more stream costs: what control holds once for all does not count."""
    few, many = (figures[f"eventmesh {number}"]["stream_kib"] * number for number in (fewer, streams))
    return f"       one more stream, from {fewer} to {streams}: {(many - few) / (streams - fewer):.1f} KiB"


def _measured(name: str, streams: int) -> dict[str, float]:
    progress(f"scale: {name}, {streams} streams")
    with _running(*SERVERS[name], str(SERVICES), str(ENDPOINTS)) as server:
        port = server.hear("port")
        before, cpu_before = server.rss, server.cpu_s
        with _running(str(TOOL), "clients", f"127.0.0.1:{port}", str(streams)) as clients:
            broken = clients.hear("broken")
            storm = clients.hear("whole") / 1e6
            storm_cpu, in_storm = server.cpu_s - cpu_before, server.rss
            took = []
            for number in range(WARM_UP + CHANGES):
                if number == WARM_UP:
                    cpu_before = server.cpu_s
                server.tell()
                began = server.hear("changed")
                took.append((clients.hear("acked") - began) / 1e6)
                time.sleep(0.05)  # Changes that come one by one: a burst would be one publication.
            change_cpu = (server.cpu_s - cpu_before) / CHANGES
            at_rest = server.rss
    clear_progress()
    return {
        "storm_ms": storm,
        "broken": broken,
        "storm_cpu_ms": storm_cpu * 1000,
        "change_ms": median(took[WARM_UP:]),
        "worst_ms": max(took[WARM_UP:]),
        "change_cpu_ms": change_cpu * 1000,
        "storm_kib": (in_storm - before) / 1024 / streams,
        "stream_kib": (at_rest - before) / 1024 / streams,
    }
