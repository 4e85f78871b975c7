"""`--hot-restart PATH`: taking over from the process that serves, and leaving to the one that comes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from eventmesh.base import log
from eventmesh.base.tasks import TaskGroup, first_of
from eventmesh.dataplane.hot_restart import Offer, Predecessor, Served, Successor
from eventmesh.dataplane.shared_limits import SharedLimits
from eventmesh.transport.channel import ChannelClosed

if TYPE_CHECKING:
    from eventmesh.dataplane.process import Termination
    from eventmesh.transport.inherited import Inherited


_log = log.get("sidecar.restart")


class HotRestart:
    """One process, or the supervisor of several, between its predecessor, if there is one, and its successor, should
    one come."""

    def __init__(self, path: str, predecessor: Predecessor | None) -> None:
        self._path = path
        self._predecessor = predecessor
        found = predecessor.limits if predecessor is not None else None
        self.limits = found or SharedLimits.create()
        """What rate limits hold: one bucket for all who follow each other, also while two of them serve."""
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

    def count_on(self, served: Served) -> None:
        """Have `served` go on from what the predecessor has counted: before anybody can ask."""
        if self._predecessor is not None:
            self._predecessor.count_on(served)

    async def live(self, served: Served, termination: Termination, drain_time_s: float) -> bool:
        """Take over once `served` is live. Return True when a successor has taken over in turn and nothing is left
        here; False when an end is asked for before.

        Raises UnavailableError when the path cannot be bound; then nothing was taken over.
        """
        found: list[Successor] = []

        async def followed() -> None:
            found.append(await self._follow(served))

        await first_of(termination.wanted(), followed())
        if not found:
            return False
        _log.info("another process serves now; what is in flight ends here")
        await termination.unless_at_once(self._leave(served, found[0], drain_time_s))
        return True

    async def _follow(self, served: Served) -> Successor:
        await served.until_live()
        self._offer = Offer(self._path, served, self.limits)
        _log.info("can be taken over from", path=self._path)
        if self._predecessor is not None:
            self._tasks.spawn("take over", self._predecessor.take_over(served))
        return await self._offer.accepted()

    async def _leave(self, served: Served, successor: Successor, drain_time_s: float) -> None:
        with suppress(ChannelClosed):
            await successor.tell_counted(await served.counted())
        await served.hand_over(successor.give, drain_time_s)
        with suppress(ChannelClosed):
            await successor.tell_counted(await served.counted())
        successor.close()

    async def stop(self) -> None:
        """Withdraw."""
        await self._tasks.stop()
        if self._offer is not None:
            self._offer.close()
        self.limits.close()
