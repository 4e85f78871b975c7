"""What is told of a disk that takes no writes: that it does not, now and then, and that it does again."""

from __future__ import annotations

from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.log_rate import LogRate

_log = log.get("cluster.store")

OVER_AFTER_S: Final = 10.0
"""A disk that is nearly full takes a small write and refuses the next: it is well again after so long a time without a
refusal."""


class Outage:
    """Of one store; every write is told to it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rate = LogRate(clock)
        self._refused_at: float | None = None
        self._refusals = 0

    def refused(self, why: object) -> None:
        """A write was not taken."""
        self._refused_at = self._clock.monotonic()
        self._refusals += 1
        if self._rate.allows():
            _log.error("nothing can be stored; reads and all that runs go on", reason=why, refused=self._refusals)

    def stored(self) -> None:
        """A write was taken."""
        if self._refused_at is not None and self._clock.monotonic() - self._refused_at >= OVER_AFTER_S:
            _log.warning("objects are stored again", refused=self._refusals)
            self._refused_at, self._refusals = None, 0
            self._rate = LogRate(self._clock)
