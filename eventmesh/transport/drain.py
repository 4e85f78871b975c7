"""The end of a process: finish what clients have begun, begin nothing new."""

from __future__ import annotations

from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.transport.channel import Taker
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


async def move_out(driver: Driver, clock: Clock, longest_s: float, give: Taker) -> bool:
    """Give every client's connection that can be given to `give`, with its listener's name, and drain the others.

    Returns whether all have gone within `longest_s`. Raises what `give` raises.
    """
    deadline = clock.monotonic() + longest_s
    driver.perform(driver.engine.drain_fixed(clock.monotonic()))
    while True:
        for connection in driver.clients():
            given = driver.move_out(connection)
            if given is not None:
                with given:
                    await give(connection.listener, given)
        if not driver.engine.active() and not driver.accepted_connections:
            return True
        if clock.monotonic() >= deadline:
            return False
        await clock.sleep(_LOOK_S)
