"""Time as a value that is handed in, so that every rule that waits can be tested in virtual time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Clock(Protocol):
    """Where a component takes the time from."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back; for durations and deadlines."""
        ...

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC; for stamps that people and peers read."""
        ...

    def unix_s(self) -> float:
        """Return `now` in seconds since 1970."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; zero or less yields once to other tasks."""
        ...


class SystemClock:
    """The machine's own time."""

    monotonic = staticmethod(time.monotonic)
    """Seconds since an arbitrary start. The function itself, because it is asked at every read."""

    unix_s = staticmethod(time.time)
    """Seconds since 1970; what a starting sidecar asks for, which needs no date."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        # Imported here for the sake of a starting sidecar, which asks late if at all: the module costs a millisecond.
        from datetime import UTC, datetime

        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Suspend the calling task for `seconds`."""
        await asyncio.sleep(max(0.0, seconds))


def rfc3339(moment: datetime) -> str:
    """Return `moment` as Kubernetes writes it: whole seconds, UTC, a trailing Z."""
    from datetime import UTC

    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
