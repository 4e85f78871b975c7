"""Control groups: memory, processor time and processes of a container, bounded by the kernel, where this user may make
groups.

One group a run of a container, below one directory of the mesh, in the unified hierarchy or in one a controller
(cgroups(7), versions 2 and 1), whichever the machine has. The values are those that a kubelet writes
(`kubernetes/pkg/kubelet/cm`). Who belongs in a group is the launcher's child's to do; nothing here starts anything.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from eventmesh.base import linux
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.child import PROCESSES
from eventmesh.cluster.runtime.wire import Mount

CONTROLLERS: Final = ("memory", "cpu")
PIDS: Final = "pids"
"""The controller that counts processes and threads; a machine may have the others without it."""
_ALL: Final = (PIDS, *CONTROLLERS)
"""Processes first: a group that may have none cannot fork while it is ended."""
SHOWN_AT: Final = Path("/sys/fs/cgroup")
"""Where programs look for their group, the runtimes of Java, Go and Node among them."""

PERIOD_US: Final = 100_000
"""Over which processor time is counted; the kernel's and the kubelet's own."""
MIN_QUOTA_US: Final = 1000
"""The kernel refuses less."""
MIN_SHARES, MAX_SHARES = 2, 262_144
"""The kernel's bounds of `cpu.shares`, which are stretched over 1 to 10,000 for `cpu.weight`."""

_SWAP: Final = ("memory.swap.max", "memory.memsw.limit_in_bytes")
"""No swap beside the memory, as with the kubelet: else what is above its limit would slow down the machine and not end.
A kernel that does not count swap has neither file."""

_MOST_PIDS: Final = "pids.max"
_PREFIX: Final = "eventmesh-"
_UNIFIED: Final = "cgroup2"
_HANDED_DOWN: Final = "cgroup.subtree_control"
"""The controllers that groups below have, in version 2."""


@frozen
class Limits:
    """What one container may use; None = as much as there is."""

    memory_bytes: int | None = None
    cpu_millis: int | None = None
    """Thousandths of a processor, at most."""
    cpu_request_millis: int | None = None
    """Thousandths of a processor that it is promised: its weight among others when all are busy."""
    pids: int | None = None
    """Processes and threads at a time."""

    def __bool__(self) -> bool:
        return self.pids is not None or self.share_the_machine

    @property
    def share_the_machine(self) -> bool:
        """Return whether they say anything of memory or processor time."""
        return (self.memory_bytes, self.cpu_millis, self.cpu_request_millis) != (None, None, None)


@frozen
class Group:
    """The group of one run of a container: a directory a controller, or one for all of them."""

    directories: tuple[str, ...]
    mounts: tuple[Mount, ...]
    """Where its own processes see it, and cannot change it."""
    name: str = ""
    earlier_kills: int = 0
    """Those of the run before, while whose processes still end its group is the group of the next."""
    earlier_refusals: int = 0

    @property
    def killed_for_memory(self) -> bool:
        """Return whether the kernel has ended a process of this run because its memory was used up."""
        return self.kills() > self.earlier_kills

    def kills(self) -> int:
        """Return how many processes the kernel has ended because the memory of the group was used up."""
        return self._count("oom_kill", "memory.events", "memory.oom_control")

    @property
    def was_refused_processes(self) -> bool:
        """Return whether this run wanted more processes and threads than it may have."""
        return self.refusals() > self.earlier_refusals

    def refusals(self) -> int:
        """Return how often the kernel has refused the group a process or thread."""
        return self._count("max", "pids.events")

    def _count(self, what: str, *files: str) -> int:
        """Return what the first of `files` that there is counts."""
        for directory in self.directories:
            for name in files:
                with suppress(OSError):
                    counts = dict(line.split() for line in _lines(Path(directory, name)))
                    return int(counts.get(what, "0"))
        return 0

    def remove(self) -> None:
        """End what is left in the group, and the group; one whose processes are still ending goes with the mesh."""
        for directory in map(Path, self.directories):
            _remove(directory)


class ControlGroups:
    """Makes the groups of one mesh, or says why there are none."""

    def __init__(self, parents: Mapping[str, Path], note: str = "") -> None:
        self._parents = parents
        self.note = note
        """Why there are none; empty when there are."""

    @classmethod
    def find(cls, process: Path = Path("/proc/self"), owner: int | None = None) -> ControlGroups:
        """Return the groups that this process may make beside its own; those of meshes that are gone are removed.

        `owner`: the process that their members end with (None: this one). With it, groups of an earlier runtime of
        the same owner are found again.
        """
        try:
            # Not the number alone: another namespace of processes may count the same.
            which = secrets.token_hex(4) if owner is None else linux.start_time(owner)
            name = f"{_PREFIX}{owner or os.getpid()}.{which}"
            parents = {controller: _made(base, controller, name) for controller, base in _bases(process).items()}
        except OSError as error:
            return cls({}, f"this user may make no control groups: {error.filename or ''}: {error.strerror or error}")
        return cls(parents)

    @property
    def count_processes(self) -> bool:
        """Return whether there is a limit of processes."""
        return PIDS in self._parents

    def make(self, name: str, limits: Limits, *, whole: bool = True) -> Group | None:
        """Return a new group of that name, None where there are none; raises OSError when the kernel refuses it.

        Not `whole`: only of the controllers that `limits` say something to, which takes a fraction of the time in
        version 1.
        """
        used = self._used(limits, whole=whole)
        if not used:
            return None
        for parent in used.values():
            _remove(parent / name)
        return self._filled(name, limits, used)

    def complete(self, name: str, limits: Limits, *, whole: bool = True) -> Group:
        """Bring a group that was made, and in which somebody waits, to `limits`; else as `make`."""
        return self._filled(name, limits, self._used(limits, whole=whole))

    def _used(self, limits: Limits, *, whole: bool) -> Mapping[str, Path]:
        return {c: parent for c, parent in self._parents.items() if whole or limits.share_the_machine or c == PIDS}

    def _filled(self, name: str, limits: Limits, used: Mapping[str, Path]) -> Group:
        for controller, parent in used.items():
            # In version 2 it is one for all controllers.
            (parent / name).mkdir(exist_ok=True)
            for file, value in _values(controller, limits, is_unified=self.is_unified):
                if file not in _SWAP or (parent / name / file).exists():
                    (parent / name / file).write_text(value)
        group = self._group(name)
        return replace(group, earlier_kills=group.kills(), earlier_refusals=group.refusals())

    def find_again(self, name: str) -> Group | None:
        """Return the group of that name, which an earlier runtime has made; None when there is none."""
        group = self._group(name)
        return group if group.directories else None

    def _group(self, name: str) -> Group:
        found = {c: parent / name for c, parent in self._parents.items() if (parent / name).is_dir()}
        shown = {own: SHOWN_AT if self.is_unified else SHOWN_AT / controller for controller, own in found.items()}
        mounts = (Mount(str(own), str(at), read_only=True) for own, at in shown.items())
        return Group(tuple(map(str, shown)), tuple(mounts), name)

    def retain(self, names: Collection[str]) -> None:
        """End, and remove, what an earlier runtime has left of groups of other `names`."""
        for parent in dict.fromkeys(self._parents.values()):
            for group in [each for each in parent.iterdir() if each.is_dir() and each.name not in names]:
                _remove(group)

    @property
    def is_unified(self) -> bool:
        """Return whether one group stands for all controllers (version 2)."""
        return len(set(self._parents.values())) == 1

    def close(self) -> None:
        """Remove all groups; whatever was in them has ended."""
        for parent in self._parents.values():
            _remove_all(parent)


def _bases(process: Path) -> Mapping[str, Path]:
    """Return below which directory each controller's groups can be made; raises OSError where there is none."""
    own: dict[str, str] = {}
    for line in _lines(process / "cgroup"):
        _, controllers, path = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), path)
    unified: Path | None = None
    separate: dict[str, Path] = {}
    for line in _lines(process / "mountinfo"):
        before, _, after = line.partition(" - ")
        root, point = before.split(" ")[3:5]
        kind, _, options = after.split(" ", 2)
        if kind == _UNIFIED and "" in own:
            unified = _below(point, root, own[""])
        elif kind == "cgroup":
            separate |= {c: _below(point, root, own[c]) for c in _ALL if c in options.split(",") and c in own}
    there = _words(unified / "cgroup.controllers") if unified is not None else []
    if unified is not None and set(CONTROLLERS) <= set(there):
        # A group with processes in it may have no limits for groups below; only the root may. So: beside our own.
        base = unified.parent if own[""] != "/" else unified
        return {controller: base for controller in _ALL if controller in there}
    if set(CONTROLLERS) <= separate.keys():
        return separate
    raise FileNotFoundError(2, f"no hierarchy has the controllers {' and '.join(CONTROLLERS)}", str(SHOWN_AT))


def _below(point: str, root: str, own: str) -> Path:
    """Return where the group `own` is, in a hierarchy of which `root` is mounted at `point`."""
    return Path(point) / os.path.relpath(own, root)


def _made(base: Path, controller: str, name: str) -> Path:
    """Return the directory of this mesh, `name` below `base`, made."""
    for earlier in base.glob(f"{_PREFIX}*"):
        owner = earlier.name.removeprefix(_PREFIX).partition(".")[0]
        if not Path(f"/proc/{owner}").exists():
            _remove_all(earlier)
    parent = base / name
    parent.mkdir(exist_ok=True)
    control = base / _HANDED_DOWN
    if control.exists():
        if controller not in _words(control):
            control.write_text(f"+{controller}")
        (parent / _HANDED_DOWN).write_text(f"+{controller}")
    return parent


def _values(controller: str, limits: Limits, *, is_unified: bool) -> Iterator[tuple[str, str]]:
    """Yield the files of a group and what is to be written to them, in order."""
    if controller == PIDS:
        if limits.pids is not None:
            yield _MOST_PIDS, str(limits.pids)
        return
    if controller == "memory":
        if limits.memory_bytes is None:
            return
        if is_unified:
            yield "memory.max", str(limits.memory_bytes)
            yield "memory.swap.max", "0"
            yield "memory.oom.group", "1"
        else:
            yield "memory.limit_in_bytes", str(limits.memory_bytes)
            yield "memory.memsw.limit_in_bytes", str(limits.memory_bytes)
        return
    if limits.cpu_millis is not None:
        quota = max(MIN_QUOTA_US, limits.cpu_millis * PERIOD_US // 1000)
        if is_unified:
            yield "cpu.max", f"{quota} {PERIOD_US}"
        else:
            yield "cpu.cfs_period_us", str(PERIOD_US)
            yield "cpu.cfs_quota_us", str(quota)
    if limits.cpu_request_millis is not None:
        shares = min(MAX_SHARES, max(MIN_SHARES, limits.cpu_request_millis * 1024 // 1000))
        weight = 1 + (shares - MIN_SHARES) * 9999 // (MAX_SHARES - MIN_SHARES)
        yield ("cpu.weight", str(weight)) if is_unified else ("cpu.shares", str(shares))


def _remove_all(parent: Path) -> None:
    with suppress(OSError):
        for group in parent.iterdir():
            if group.is_dir():
                _remove(group)
        parent.rmdir()


def _remove(group: Path) -> None:
    with suppress(OSError):
        # What forks without end would be faster than whoever ends it.
        if (group / _MOST_PIDS).exists():
            (group / _MOST_PIDS).write_text("0")
        # A process of another namespace is 0 here, which would mean ourselves.
        for number in map(int, _words(group / PROCESSES)):
            if number > 0:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
        group.rmdir()


def _words(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").split()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
