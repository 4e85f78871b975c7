"""CPU time, memory and readiness of a process, read from the kernel."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

PROXY_CPU = max(os.sched_getaffinity(0))
"""Contenders run on this processor alone; load and backend share the others."""


def free_port() -> int:
    """Return a TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A started process tree; `stop` ends all of it."""

    def __init__(self, argv: Sequence[str], directory: Path, *, cpus: set[int] | None = None) -> None:
        """Start `argv` on the processors `cpus`; what it prints goes to `directory`/output.log."""
        self.started_at = time.monotonic()
        self._log = (directory / "output.log").open("wb")
        self.process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        if cpus:
            os.sched_setaffinity(self.process.pid, cpus)

    def wait_for(self, port: int, seconds: float = 20.0) -> None:
        """Return when `port` accepts connections; raises RuntimeError with the process's output when it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise RuntimeError(f"{self.process.args!r} does not listen on {port}:\n{self.output()}")

    def output(self) -> str:
        """Return the end of what the process has printed."""
        return Path(self._log.name).read_text(errors="replace")[-2000:]

    def _tree(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def cpu_s(self) -> float:
        """Return seconds of CPU of all threads of the tree (nanosecond accounting of the scheduler)."""
        total = 0
        for process in self._tree():
            for task in Path(f"/proc/{process.pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def rss_mib(self) -> float:
        """Return resident memory of the tree."""
        return float(sum(process.memory_info().rss for process in self._tree())) / 2**20

    def pss_mib(self) -> float:
        """Return proportional memory of the tree: a page that n processes share counts for 1/n."""
        lines = [
            line
            for process in self._tree()
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            if line.startswith("Pss:")
        ]
        return sum(int(line.split()[1]) for line in lines) / 1024

    def stop(self) -> None:
        """Kill the tree and wait for its root."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()
