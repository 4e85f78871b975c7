"""How much of a time that passed was not the mesh's doing: its processes could have gone on, and others had the
processors, or the disk was busy.

The kernel counts both. What a process waits for by itself (a pause, a back-off, an answer) is not in it, nor the
processor time that it takes: so what is left of a wall clock's time can be asserted on a machine that others use.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class Starvation:
    """Counts from its making on. Where several wait at once each is counted, so it says rather too much."""

    def __init__(self, pids: Iterable[int]) -> None:
        """`pids` are the processes of the mesh that run now; this one is counted with them, since it is the client."""
        self._before = {pid: _waited_s(pid) for pid in {*pids, os.getpid()}}
        self._machine_before_s = _machine_s()

    def seconds(self, pids: Iterable[int]) -> float:
        """Return how long any of `pids`, as they are by now, waited."""
        waited_s = sum(max(0.0, _waited_s(pid) - self._before.get(pid, 0.0)) for pid in {*pids, os.getpid()})
        return waited_s + _machine_s() - self._machine_before_s


def _waited_s(pid: int) -> float:
    """Return how long the threads of a process were ready to run and did not (the second number of proc(5)'s
    `schedstat`); 0 for one that is gone."""
    waited_ns = 0
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            waited_ns += int((task / "schedstat").read_text().split()[1])
    return waited_ns / 1e9


def _machine_s() -> float:
    """Return how long the machine itself had no processor (a virtual one, `steal`), or somebody waited for a disk."""
    steal = int(Path("/proc/stat").read_text().split(maxsplit=9)[8]) / os.sysconf("SC_CLK_TCK")
    with suppress(OSError):  # a kernel without pressure stall information
        some = Path("/proc/pressure/io").read_text().splitlines()[0]
        return steal + int(some.rpartition("total=")[2]) / 1e6
    return steal
