"""How often something that goes on is told: an outage fills no log, and is not forgotten either."""

from __future__ import annotations

from typing import Final

from eventmesh.base.clock import Clock

EVERY_S: Final = 60.0
"""Often enough for who has just begun to look; 1,440 lines a day of an outage that nobody ends."""


class LogRate:
    """Lets one line pass every so many seconds; `left_out` of the others were not written."""

    def __init__(self, clock: Clock, every_s: float = EVERY_S) -> None:
        self.left_out = 0
        """Since the line before the one that `allows` has let pass last."""
        self._clock = clock
        self._every_s = every_s
        self._next_at = clock.monotonic()
        self._held = 0

    def allows(self) -> bool:
        """Return whether to write the line that is at hand; it is counted if not."""
        now = self._clock.monotonic()
        if now < self._next_at:
            self._held += 1
            return False
        self._next_at = now + self._every_s
        self.left_out, self._held = self._held, 0
        return True
