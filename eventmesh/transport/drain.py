"""The end of a process: finish what clients have begun, begin nothing new."""

from __future__ import annotations

from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.transport.driver import Driver

_LOOK_S: Final = 0.01
"""How often a draining process looks whether it is idle. Only the dying poll."""


async def drain(driver: Driver, clock: Clock, longest_s: float) -> bool:
    """Let the engine finish; return whether all ended within `longest_s`. The caller has stopped accepting before."""
    deadline = clock.monotonic() + longest_s
    driver.perform(driver.engine.drain(clock.monotonic()))
    while driver.engine.active() or driver.accepted_connections:
        if clock.monotonic() >= deadline:
            return False
        await clock.sleep(_LOOK_S)
    return True
