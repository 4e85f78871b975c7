"""Keeping the files of a running pod's volumes true to their objects."""

from __future__ import annotations

from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.log_rate import LogRate
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.runtime.volumes import PodVolumes

_log = log.get("runtime.volumes")

RETRY_S: Final = 5.0
"""How soon files that a full disk did not take are written again."""


class VolumeKeeper:
    """Of one pod, until `stop`: what is written afterwards would be left behind, secrets too."""

    def __init__(self, pod: str, volumes: PodVolumes, clock: Clock) -> None:
        """`pod` is its name, for the log."""
        self._pod = pod
        self._volumes = volumes
        self._clock = clock
        self._tasks = TaskGroup(f"volumes of {pod}")
        self._troubles = LogRate(clock)
        self._behind = self._stopped = False

    def refresh(self) -> None:
        """Bring the files up to date now; those that cannot be written are written as soon as they can."""
        # However many objects change while files cannot be written, one task tries again for all of them.
        if not (self._stopped or self._refreshed() or self._behind):
            self._behind = True
            self._tasks.spawn("again", self._catch_up())

    async def stop(self) -> None:
        """Write no more."""
        self._stopped = True
        await self._tasks.stop()

    async def _catch_up(self) -> None:
        while self._behind:
            await self._clock.sleep(RETRY_S)
            self._behind = not self._refreshed()

    def _refreshed(self) -> bool:
        try:
            for reason in self._volumes.refresh():
                _log.warning("a volume keeps its last content", pod=self._pod, reason=reason)
        except OSError as error:
            if self._troubles.allows():
                _log.warning("volumes are behind", pod=self._pod, reason=error)
            return False
        return True
