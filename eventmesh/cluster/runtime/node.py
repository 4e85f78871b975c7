"""The one node: what this machine has, how it stands, and what it uses now."""

from __future__ import annotations

import os
import platform
import shutil
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock, rfc3339
from eventmesh.base.errors import UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.base.log_rate import LogRate
from eventmesh.cluster.api.builtin.podspec import NODE_NAME
from eventmesh.cluster.api.version import GIT_VERSION
from eventmesh.cluster.runtime.network import ADDRESSES_PER_BLOCK
from eventmesh.cluster.runtime.status import HOST_IP
from eventmesh.cluster.runtime.usage import Rate, usage_quantities
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.resources import NODE, NODE_METRICS
from eventmesh.kube.status import condition

_log = log.get("runtime.node")

LOOK_S: Final = 10.0
"""Between two looks at the machine; the kubelet's nodeStatusUpdateFrequency."""

HEARTBEAT: Final = timedelta(minutes=5)
"""How often the status is written although nothing changed; the kubelet's nodeStatusReportFrequency."""

LEAST_MEMORY_BYTES: Final = 100 * 1024 * 1024
"""Below this there is memory pressure; the kubelet's eviction threshold `memory.available`."""

LEAST_DISK_SHARE: Final = 0.1
"""Of the disk that holds the data; the kubelet's threshold `nodefs.available`."""

LEAST_PID_SHARE: Final = 0.05
"""Of the machine's process numbers; a mesh that cannot fork cannot wake anything."""


_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"


@frozen
class Machine:
    """What is read of the machine at one moment."""

    processors: int
    memory_bytes: int
    available_bytes: int
    disk_bytes: int
    free_disk_bytes: int
    max_pids: int
    pids: int
    busy_s: float
    """Processor time of all processors that was not idle, since the machine started."""


def read_machine(data_dir: Path) -> Machine:
    """Return what the machine is and uses; raises OSError where `/proc` cannot be read."""
    meminfo = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    disk = shutil.disk_usage(data_dir)
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    # user nice system idle iowait irq softirq steal; guests are in user already (proc(5)).
    busy = sum(ticks[:3]) + sum(ticks[5:8])
    return Machine(
        processors=os.cpu_count() or 1,
        memory_bytes=_kib(meminfo, "MemTotal"),
        available_bytes=_kib(meminfo, "MemAvailable"),
        disk_bytes=disk.total,
        free_disk_bytes=disk.free,
        max_pids=int(Path("/proc/sys/kernel/pid_max").read_text()),
        pids=int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2]),
        busy_s=busy / os.sysconf("SC_CLK_TCK"),
    )


def node_status(node: Object, machine: Machine, now: datetime) -> Object:
    """Return the node's whole status."""
    capacity = {
        "cpu": str(machine.processors),
        "memory": f"{machine.memory_bytes // 1024}Ki",
        "ephemeral-storage": f"{machine.disk_bytes // 1024}Ki",
        "pods": str(ADDRESSES_PER_BLOCK),
    }
    return {
        "capacity": capacity,
        # Nothing is set aside: pods share the machine with everything else that its user runs.
        "allocatable": dict(capacity),
        "conditions": [_condition(node, *each, now) for each in _standing(machine)],
        "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": NODE_NAME}],
        "nodeInfo": _info(),
    }


def _standing(machine: Machine) -> tuple[tuple[str, bool, str, str, str, str], ...]:
    """Return, for each condition, whether it holds, and reason and message if so and if not."""
    no_memory = machine.available_bytes < LEAST_MEMORY_BYTES
    no_disk = machine.free_disk_bytes < LEAST_DISK_SHARE * machine.disk_bytes
    no_pids = machine.max_pids - machine.pids < LEAST_PID_SHARE * machine.max_pids
    return (
        (
            "MemoryPressure",
            no_memory,
            "KubeletHasInsufficientMemory",
            f"{machine.available_bytes // 2**20} MiB of memory are available; end something",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        (
            "DiskPressure",
            no_disk,
            "KubeletHasDiskPressure",
            f"{machine.free_disk_bytes // 2**20} MiB are free where the data directory lies; make room",
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure",
        ),
        (
            "PIDPressure",
            no_pids,
            "KubeletHasInsufficientPID",
            f"{machine.pids} of {machine.max_pids} process numbers are taken; end something",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        ),
        ("Ready", True, "KubeletReady", "pods run as processes of this machine", "", ""),
    )


def _condition(
    node: Object, kind: str, holds: bool, reason: str, message: str, otherwise: str, fine: str, now: datetime
) -> Object:
    stored = condition(node, kind)
    turned = stored is None or stored["status"] != str(holds)
    return {
        "type": kind,
        "status": str(holds),
        "reason": reason if holds else otherwise,
        "message": message if holds else fine,
        "lastHeartbeatTime": rfc3339(now),
        "lastTransitionTime": rfc3339(now) if turned or stored is None else stored["lastTransitionTime"],
    }


def _info() -> Object:
    release: dict[str, str] = {}
    with suppress(OSError):
        release = platform.freedesktop_os_release()
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    ids = {name: _line(path) for name, path in (("machineID", "/etc/machine-id"), ("bootID", _BOOT_ID))}
    return {
        **ids,
        "systemUUID": ids["machineID"],
        "kernelVersion": platform.release(),
        "osImage": release.get("PRETTY_NAME", platform.system()),
        "containerRuntimeVersion": "eventmesh://process",
        "kubeletVersion": GIT_VERSION,
        "kubeProxyVersion": "",
        "operatingSystem": platform.system().lower(),
        "architecture": architecture,
    }


class NodeKeeper:
    """Tells the API how the machine stands."""

    def __init__(self, api: Api, clock: Clock, data_dir: Path) -> None:
        self._api = api
        self._clock = clock
        self._data_dir = data_dir
        self._troubles = LogRate(clock)
        self._written_at: datetime | None = None
        self._last: tuple[float, Machine] | None = None
        self._rate: Rate | None = None

    async def run(self) -> None:
        """Look and tell until cancelled."""
        while True:
            try:
                await self._look()
            except (ApiError, UnavailableError, OSError) as error:
                if self._troubles.allows():
                    _log.warning("node status not told", reason=error)
            await self._clock.sleep(LOOK_S)

    def metrics(self) -> list[Object]:
        """Return `NodeMetrics`, once the machine was looked at twice."""
        if self._rate is None:
            return []
        now = rfc3339(self._clock.now())
        return [
            {
                "apiVersion": NODE_METRICS.api_version,
                "kind": NODE_METRICS.kind,
                "metadata": {"name": NODE_NAME, "creationTimestamp": now},
                "timestamp": now,
                "window": f"{self._rate.window_s:.3f}s",
                "usage": usage_quantities(self._rate),
            }
        ]

    async def _look(self) -> None:
        machine, at, now = read_machine(self._data_dir), self._clock.monotonic(), self._clock.now()
        if self._last is not None and at > self._last[0]:
            elapsed = at - self._last[0]
            cores = max(0.0, machine.busy_s - self._last[1].busy_s) / elapsed
            self._rate = Rate(cores, machine.memory_bytes - machine.available_bytes, elapsed)
        self._last = (at, machine)
        node = await self._api.get(NODE, NODE_NAME)
        status = node_status(node, machine, now)
        due = self._written_at is None or now - self._written_at >= HEARTBEAT
        if due or any(_turned(node, entry) for entry in status["conditions"]):
            await self._api.patch(NODE, NODE_NAME, {"status": status}, subresource="status")
            self._written_at = now


def _turned(node: Object, entry: Object) -> bool:
    stored = condition(node, entry["type"])
    return stored is None or stored["status"] != entry["status"]


def _kib(meminfo: dict[str, str], name: str) -> int:
    return int(meminfo[name].split()[0]) * 1024


def _line(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text().strip()
    return ""
