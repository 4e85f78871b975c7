"""The control groups of one pod, and what they say of it that its processes do not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from eventmesh.cluster.runtime.cgroups import ControlGroups, Group, Limits
from eventmesh.cluster.runtime.orders import Tell

PIDS_LIMIT: Final = 1024
"""Processes and threads of a container at a time, where the kernel counts them. A Java server under load has 200, and
thirty pods that fork without end are needed to take the 32,768 process numbers of a small machine. The kubelet has none
unless `podPidsLimit` says so, for a pod; engines have had 1,024 and 2,048, for a container."""

PROCESS_LIMIT_REACHED: Final = "ProcessLimitReached"
_REFUSED: Final = (
    f"has {PIDS_LIMIT} processes and threads, and may have no more: what starts another is refused "
    "(EAGAIN, Resource temporarily unavailable)"
)


class PodGroups:
    """The groups of one pod: of each container's present run, where it has one."""

    def __init__(self, groups: ControlGroups, uid: str, ready: Callable[[], str] = lambda: "") -> None:
        """`ready` returns the name of a group in which a process waits to become a program; empty: there is none."""
        self._groups = groups
        self._uid = uid
        self._ready = ready
        self._present: dict[str, Group] = {}

    def begin(self, container: str, limits: Limits, *, whole: bool = True, ready: bool = False) -> None:
        """Make the group of a run that begins, as `ControlGroups.make`, or complete one that is `ready`."""
        name = self._ready() if ready else ""
        if name:
            group: Group | None = self._groups.complete(name, limits, whole=whole)
        else:
            group = self._groups.make(f"{self._uid}.{container}", limits, whole=whole)
        if group is not None:
            self._present[container] = group

    def resume(self, container: str, name: str) -> None:
        """Find the group of that name, of a run that an earlier runtime has begun; nothing happens without one."""
        group = self._groups.find_again(name) if name else None
        if group is not None:
            self._present[container] = group

    def of(self, container: str) -> Group | None:
        """Return the group of the present run."""
        return self._present.get(container)

    def refusals(self) -> list[Tell]:
        """Return what is to be told of runs that were refused a process or thread; of each once."""
        found = [container for container, group in self._present.items() if group.was_refused_processes]
        for container in found:
            self._present[container] = replace(self._present[container], earlier_refusals=sys.maxsize)
        return [Tell(PROCESS_LIMIT_REACHED, f"{container} {_REFUSED}") for container in found]

    def end(self, container: str) -> bool:
        """Remove the group of a run that has ended; return whether the kernel ended it, or a part, for its memory."""
        group = self._present.pop(container, None)
        if group is None:
            return False
        killed = group.killed_for_memory
        group.remove()
        return killed

    def close(self) -> None:
        """Remove all groups, and end what is left in them."""
        for container in tuple(self._present):
            self.end(container)
