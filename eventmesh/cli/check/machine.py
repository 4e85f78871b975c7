"""What `eventmesh up` needs of this machine."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eventmesh.base.errors import UnavailableError
from eventmesh.cli.check.findings import Finding, failure, ok, warning
from eventmesh.cluster import addresses, running
from eventmesh.cluster.running import Running
from eventmesh.cluster.runtime.cgroups import ControlGroups
from eventmesh.cluster.runtime.pod_groups import PIDS_LIMIT
from eventmesh.cluster.watchdog import MESH_NAME

OLDEST_PYTHON: Final = (3, 11)
LEAST_DISK_BYTES: Final = 256 * 1024 * 1024
"""Less and the event store is soon full: it keeps up to a gibibyte of past events."""
ENOUGH_DISK_BYTES: Final = 2 * 1024**3
ENOUGH_FILES: Final = 4096
"""Descriptors: a gateway with a thousand connections on either side, and as much again."""
ENOUGH_MEMORY_BYTES: Final = 512 * 1024 * 1024
"""A mesh without functions takes less than 200 MiB."""
SKEW_S: Final = 60.0
"""A file of the state may be so much newer than now before the clock counts as set back."""

_MAKE_NAMESPACE: Final = """
import os
from eventmesh.base import linux
if os.getuid():
    linux.become_namespace_root()
os.close(linux.new_network())
"""
_NETWORK_FILE_SYSTEMS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs"})
_ELSEWHERE: Final = "name a directory on a disk of this machine with --data-dir"
_UNSYNCHRONISED: Final = 0x40
"""STA_UNSYNC of adjtimex(2)."""


def findings(data_dir: Path, api_port: int, gateway_port: int) -> Iterator[Finding]:
    """Yield what was found; nothing is changed, but for a namespace and a control group, made and forgotten."""
    found = running.find(data_dir)
    yield _mesh(data_dir, found)
    yield _python()
    yield _core()
    yield _namespaces()
    yield _cgroups()
    yield from _ports(found, api_port, gateway_port)
    yield from _others(data_dir, found)
    yield _directory(data_dir)
    yield _disk(data_dir)
    yield _memory()
    yield _descriptors()
    yield _clock(data_dir)


def _mesh(data_dir: Path, found: Running | None) -> Finding:
    if found is None:
        return ok("mesh", f"none runs on {data_dir}")
    return ok("mesh", f"process {found.main} runs on {data_dir}")


def _python() -> Finding:
    version, system = platform.python_version(), f"{platform.system()} {platform.release()}"
    if platform.system() != "Linux":
        return failure("system", f"{system}: pods need Linux", "run it on Linux, or in a virtual machine with Linux")
    if sys.version_info[:2] < OLDEST_PYTHON:
        return failure("system", f"Python {version}", "install Python 3.11 or newer")
    return ok("system", f"{system}, Python {version}")


def _core() -> Finding:
    try:
        from eventmesh.core import _core
    except ImportError as error:
        return failure("core", f"the compiled core does not load: {error}", "`make setup` builds it; a wheel brings it")
    return ok("core", f"loaded from {_core.__file__}")


def _namespaces() -> Finding:
    """Make a network namespace as a pod would get one, in a process of its own."""
    made = subprocess.run([sys.executable, "-c", _MAKE_NAMESPACE], capture_output=True, text=True)  # noqa: S603
    if made.returncode == 0:
        how = "" if os.getuid() == 0 else ", by user namespaces"
        egress = "a function reaches what its sidecar listens on, and no more: no pasta or slirp4netns is started"
        return ok("namespaces", f"pods get a network namespace each{how}; {egress}")
    reason = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
    return warning(
        "namespaces",
        f"pods share the machine's network: {reason}",
        "run as root, or allow user namespaces: `sysctl -w kernel.unprivileged_userns_clone=1` (Debian), "
        "`sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu)",
    )


def _cgroups() -> Finding:
    groups = ControlGroups.find()
    groups.close()
    if groups.note:
        return warning(
            "cgroups",
            f"{groups.note}; limits.cpu has no effect, memory above limits.memory is seen within 2 s, and nobody "
            "counts the processes of a function",
            "run as root on a machine whose control groups have the controllers memory and cpu",
        )
    if not groups.count_processes:
        return warning(
            "cgroups",
            "the kernel keeps limits.memory and limits.cpu, but nobody counts the processes of a function",
            "hand the controller pids down to the group that eventmesh runs in",
        )
    version = 2 if groups.is_unified else 1
    kept = f"limits.memory, limits.cpu and {PIDS_LIMIT} processes a container"
    return ok("cgroups", f"the kernel keeps {kept} (version {version})")


def _ports(found: Running | None, api_port: int, gateway_port: int) -> Iterator[Finding]:
    if found is not None:
        where = found.addresses or {}
        yield ok("ports", f"API on {where.get('api', '?')}, gateway on {where.get('gateway', '?')}, held by the mesh")
        return
    holds = addresses.Holds()
    try:
        chosen = addresses.choose(api_port, gateway_port, addresses.ACTIVATOR_HOST, holds)
    except UnavailableError as error:
        yield failure("ports", str(error), "`eventmesh up --port 0 --gateway-port 0` takes any that are free")
        return
    finally:
        holds.close()
    yield ok("ports", f"{chosen.api} for the API and {chosen.gateway} for the gateway are free")
    usual = {
        "TLS of the gateway": (chosen.gateway_tls, addresses.GATEWAY_TLS_PORT),
        "ADS": (chosen.ads, addresses.ADS_PORT),
        "the autoscaler": (chosen.autoscaler, addresses.AUTOSCALER_PORT),
    }
    for who, (got, wanted) in usual.items():
        if addresses.port_of(got) != wanted and api_port and gateway_port:
            yield warning(
                "ports", f"port {wanted}, usual for {who}, is taken", "nothing to do: another is used instead"
            )


def _others(data_dir: Path, found: Running | None) -> Iterator[Finding]:
    """Look for meshes of other directories: they are welcome, and take the usual addresses."""
    own = {process.pid for process in running.processes(found.main)} if found else set()
    others = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if pid not in own and _is_up(pid)]
    if others:
        which = ", ".join(map(str, sorted(others)))
        yield warning(
            "other meshes", f"`eventmesh up` runs as process {which}", "give this one its own --port and --gateway-port"
        )
    else:
        yield ok("other meshes", "none on this machine")


def _is_up(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if Path(f"/proc/{pid}/comm").read_text().strip() == MESH_NAME:
            # A fork of one that is found itself.
            return False
    except OSError:
        return False
    programs = (b"eventmesh.cli.main", b"eventmesh")
    return any(
        word.rpartition(b"/")[2] in programs and words[at + 1 : at + 2] == [b"up"] for at, word in enumerate(words)
    )


def _directory(data_dir: Path) -> Finding:
    there = data_dir
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return failure("data directory", f"{there} may not be written to by this user", "name another with --data-dir")
    kind = _file_system(there)
    if kind in _NETWORK_FILE_SYSTEMS:
        return warning(
            "data directory",
            f"{data_dir} is on {kind}: its locks and syncs are not to be relied on",
            _ELSEWHERE,
        )
    if kind == "tmpfs":
        return warning("data directory", f"{data_dir} is in memory: a restart of the machine forgets all", _ELSEWHERE)
    return ok("data directory", f"{data_dir} on {kind or 'an unknown file system'}")


def _file_system(directory: Path) -> str:
    """Return the kind of the file system that holds `directory`, as /proc/mounts names it."""
    held, kind = "", ""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, name, *_ = line.split()
        point = point.encode().decode("unicode_escape")
        inside = str(directory) == point or str(directory).startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(held):
            held, kind = point, name
    return kind


def _disk(data_dir: Path) -> Finding:
    there = next(parent for parent in (data_dir, *data_dir.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 2**30:.1f} GiB free"
    if free < LEAST_DISK_BYTES:
        return failure(
            "disk", text, "free some: events are refused (503) and objects cannot be written when it is full"
        )
    if free < ENOUGH_DISK_BYTES:
        return warning("disk", text, "free some, or keep fewer events: `eventmesh events` shows what is kept")
    return ok("disk", text)


def _memory() -> Finding:
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    text = f"{free / 2**20:.0f} MiB available"
    if free < ENOUGH_MEMORY_BYTES:
        return warning("memory", text, "end what is not needed: a mesh takes 200 MiB, and its functions what they take")
    return ok("memory", text)


def _descriptors() -> Finding:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < ENOUGH_FILES:
        return warning(
            "open files", f"at most {most} a process", f"`ulimit -Hn {ENOUGH_FILES}` as root, or limits.conf(5)"
        )
    return ok("open files", "as many as wanted" if most == resource.RLIM_INFINITY else f"up to {most} a process")


def _clock(data_dir: Path) -> Finding:
    now = time.clock_gettime(time.CLOCK_REALTIME)
    newest = max((file.stat().st_mtime for file in data_dir.glob("store/*")), default=0.0)
    if newest > now + SKEW_S:
        return failure(
            "clock",
            f"it stands {newest - now:.0f} s before the newest object was written",
            "set it: `timedatectl set-ntp true`; certificates and delayed events go by it",
        )
    if not _is_synchronised():
        return warning("clock", "the kernel does not hold it to be synchronised", "`timedatectl set-ntp true`")
    return ok("clock", "synchronised")


def _is_synchronised() -> bool:
    """Ask adjtimex(2) with `modes` 0, which changes nothing; the status is the fourth field after four longs."""
    buffer = (ctypes.c_long * 64)()
    ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    # struct timex: int modes (padded), long offset, freq, maxerror, esterror, int status.
    return not buffer[5] & _UNSYNCHRONISED
