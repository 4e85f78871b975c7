"""`--hot-restart PATH`: taking over from the process that serves, and leaving to the one that comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventmesh.base import log
from eventmesh.base.tasks import TaskGroup
from eventmesh.dataplane.hot_restart import Offer, Predecessor, Successor

if TYPE_CHECKING:
    from eventmesh.dataplane.plane import DataPlane
    from eventmesh.transport.inherited import Inherited


_log = log.get("sidecar.restart")


class HotRestart:
    """One process between its predecessor, if there is one, and its successor, should one come."""

    def __init__(self, path: str, predecessor: Predecessor | None) -> None:
        self._path = path
        self._predecessor = predecessor
        self._offer: Offer | None = None
        self._tasks = TaskGroup("restart")

    @classmethod
    async def at(cls, path: str) -> HotRestart:
        """Find who serves at `path`. Raises UnavailableError when somebody does who cannot be taken over from."""
        return cls(path, await Predecessor.find(path))

    @property
    def inherited(self) -> Inherited | None:
        """The predecessor's listening sockets."""
        return self._predecessor.inherited if self._predecessor is not None else None

    async def run(self, plane: DataPlane) -> Successor:
        """Take over once `plane` is live, and return the successor that takes over from it.

        Raises UnavailableError when the path cannot be bound; then nothing was taken over.
        """
        await plane.until_live()
        self._offer = Offer(self._path, plane.listening_sockets)
        _log.info("can be taken over from", path=self._path)
        if self._predecessor is not None:
            self._tasks.spawn("take over", self._predecessor.take_over(plane.adopt))
        return await self._offer.accepted()

    async def stop(self) -> None:
        """Withdraw."""
        await self._tasks.stop()
        if self._offer is not None:
            self._offer.close()
