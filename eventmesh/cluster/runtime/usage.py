"""What containers use of processor and memory, read from `/proc` of their processes.

Not from cgroups: those are not this user's to make on every host that eventmesh runs on, and a mesh that measures in
two ways measures differently on two laptops. What a process starts and leaves to a daemon is not counted.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

SAMPLE_S: Final = 2.0
"""Between two readings: a reading costs some 30 microseconds a process, and memory above a limit is seen so soon."""

WINDOW_S: Final = 15.0
"""Over how long processor time is averaged: the interval of Kubernetes' metrics-server."""

MAX_PROCESSES: Final = 1000
"""Of one container that are read; one that forks without end must not stop the reading of the others."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """What a tree of processes has used so far."""

    cpu_s: float
    """Processor time, that of children which have ended included."""
    memory_bytes: int
    """Memory of its own, without files mapped into it: what the kernel cannot take back."""


class Rate(NamedTuple):
    """What a container uses now."""

    cores: float
    memory_bytes: int
    window_s: float


def usage_of(pid: int) -> Usage:
    """Return what `pid` and its descendants have used; nothing for one that is gone."""
    waiting, cpu_s, memory, seen = [pid], 0.0, 0, 0
    while waiting and seen < MAX_PROCESSES:
        process, seen = waiting.pop(), seen + 1
        with suppress(OSError):
            own = own_usage(process)
            cpu_s, memory = cpu_s + own.cpu_s, memory + own.memory_bytes
            for task in os.listdir(f"/proc/{process}/task"):
                waiting += map(int, _read(f"/proc/{process}/task/{task}/children").split())
    return Usage(cpu_s, memory)


def own_usage(pid: int) -> Usage:
    """Return what one process has used, with children that it waited for; raises OSError when it is gone."""
    return Usage(cpu_seconds(_read(f"/proc/{pid}/stat")), own_memory(_read(f"/proc/{pid}/statm")))


def cpu_seconds(stat: str) -> float:
    """Return the processor time in a line of `/proc/PID/stat` (proc(5)): its own and that of children it waited for."""
    # The name in parentheses may hold anything, spaces and parentheses too.
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def own_memory(statm: str) -> int:
    """Return the bytes of memory in a line of `/proc/PID/statm` that no file stands behind."""
    _, resident, shared, *_ = map(int, statm.split())
    return max(0, resident - shared) * _PAGE


@dataclass(slots=True)
class _Readings:
    pid: int
    taken: deque[tuple[float, Usage]] = field(default_factory=deque)


class UsageMeter:
    """Keeps the readings of a window, by pod and container."""

    def __init__(self) -> None:
        self._readings: dict[tuple[str, str], _Readings] = {}

    def take(self, at: float, usages: Mapping[tuple[str, str, int], Usage]) -> None:
        """Note what was read at the moment `at`, by pod, container and process; who is not among it is forgotten."""
        present = {(pod, container) for pod, container, _ in usages}
        for gone in self._readings.keys() - present:
            del self._readings[gone]
        for (pod, container, pid), usage in usages.items():
            readings = self._readings.get((pod, container))
            if readings is None or readings.pid != pid:
                readings = self._readings[pod, container] = _Readings(pid)
            readings.taken.append((at, usage))
            while len(readings.taken) > 2 and at - readings.taken[1][0] >= WINDOW_S:
                readings.taken.popleft()

    def rate(self, pod: str, container: str) -> Rate | None:
        """Return what the container uses; None before it was read twice."""
        readings = self._readings.get((pod, container))
        if readings is None or len(readings.taken) < 2:
            return None
        (began, first), (ended, last) = readings.taken[0], readings.taken[-1]
        if ended <= began:
            return None
        # A descendant that ended unwaited-for takes its time with it.
        cores = max(0.0, last.cpu_s - first.cpu_s) / (ended - began)
        return Rate(cores, last.memory_bytes, ended - began)


def usage_quantities(rate: Rate) -> dict[str, str]:
    """Return processor and memory as the metrics API spells them."""
    return {"cpu": f"{round(rate.cores * 1e9)}n", "memory": f"{rate.memory_bytes // 1024}Ki"}


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
