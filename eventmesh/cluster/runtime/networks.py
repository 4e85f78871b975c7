"""Network namespaces kept in stock, so that a cold start does not wait for the kernel to make one."""

from __future__ import annotations

from collections import deque
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.runtime.process import Network, ProcessLauncher

_log = log.get("runtime.networks")

STOCK: Final = 4
"""As many pods as a chain of functions wakes at once; an idle namespace costs some tens of KiB of kernel memory."""

RESTOCK_AFTER_S: Final = 0.25
"""Later than a cold start takes, so that making the next namespace does not compete with the pod that took this one."""


class NetworkStock:
    """Hands out namespaces that are ready, and makes new ones when nobody is in a hurry."""

    def __init__(self, launcher: ProcessLauncher, clock: Clock) -> None:
        self._launcher = launcher
        self._clock = clock
        self._ready: deque[Network] = deque()
        self._tasks = TaskGroup("networks")

    @property
    def in_stock(self) -> int:
        """Return how many are ready to be taken."""
        return len(self._ready)

    async def start(self) -> None:
        """Make the first ones; raises UnavailableError where the host allows this user none."""
        while len(self._ready) < STOCK:
            self._ready.append(await self._launcher.make_network())

    async def take(self) -> Network:
        """Return a namespace that nobody has used; raises UnavailableError."""
        if not len(self._tasks):
            self._tasks.spawn("restock", self._restock())
        return self._ready.popleft() if self._ready else await self._launcher.make_network()

    async def stop(self) -> None:
        """Make no more."""
        await self._tasks.stop()

    async def _restock(self) -> None:
        await self._clock.sleep(RESTOCK_AFTER_S)
        try:
            await self.start()
        except UnavailableError as error:
            _log.warning("network namespaces cannot be kept in stock", reason=error)
