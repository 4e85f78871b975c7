"""Control groups kept in stock, each with a process in it that waits to become a function.

A process that changes its group waits until the kernel knows that no processor is in the middle of a fork (a grace
period of RCU, in `cgroup_procs_write`): some 10 ms of every cold start, while nobody works on it. Here it has passed
before.
"""

from __future__ import annotations

import secrets
from collections import deque
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.runtime.cgroups import ControlGroups, Limits
from eventmesh.cluster.runtime.pod_groups import PIDS_LIMIT
from eventmesh.cluster.runtime.process import ProcessLauncher

_log = log.get("runtime.ready_groups")

STOCK: Final = 4
"""As many pods as a chain of functions wakes at once (as `networks`); an idle process has 1.5 MiB of its own."""

RESTOCK_AFTER_S: Final = 0.25
"""Later than a cold start takes, as with the network namespaces."""

_LOOKS: Final = 100


class ReadyGroups:
    """Hands out groups, and makes new ones when nobody is in a hurry; none where not every function has a group."""

    def __init__(self, groups: ControlGroups, launcher: ProcessLauncher, clock: Clock) -> None:
        self._groups = groups
        self._launcher = launcher
        self._clock = clock
        self._ready: deque[str] = deque()
        self._tasks = TaskGroup("ready groups")

    async def start(self) -> None:
        """Make the first ones. Where that is refused pods make their own, and say what speaks against it."""
        try:
            while len(self._ready) < STOCK:
                name = f"ready-{secrets.token_hex(4)}"
                group = self._groups.make(name, Limits(pids=PIDS_LIMIT), whole=False)
                if group is None:
                    return
                await self._launcher.prepare_in(group.directories)
                self._ready.append(name)
        except (OSError, UnavailableError) as error:
            _log.warning("control groups cannot be kept in stock", reason=error)

    def take(self) -> str:
        """Return the name of one that nobody has used, to be completed; empty when there is none."""
        if not self._ready:
            return ""
        if not len(self._tasks):
            self._tasks.spawn("restock", self._restock())
        return self._ready.popleft()

    async def stop(self) -> None:
        """Make no more, and remove what nobody has used; what takes longer than a second goes with the mesh."""
        await self._tasks.stop()
        for _ in range(_LOOKS):
            left = [group for group in map(self._groups.find_again, self._ready) if group is not None]
            if not left:
                return
            for group in left:
                group.remove()
            # Those in it have been killed, and take a moment to end.
            await self._clock.sleep(1.0 / _LOOKS)

    async def _restock(self) -> None:
        await self._clock.sleep(RESTOCK_AFTER_S)
        await self.start()
