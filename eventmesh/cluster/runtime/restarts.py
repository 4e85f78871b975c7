"""How soon a process that has ended begins again: at once after a kill, unless something kills it each time it begins.

One rule for all that the mesh keeps running: containers, sidecars, gateway and activator, the mesh process itself. A
kill from outside (an operator, a chaos tool, the kernel for want of memory) says nothing against the process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from eventmesh.base.backoff import exponential_s

RECOVERED_WITHIN_S: Final = 2.0
"""What is promised (docs/lifecycle.md): the time from a kill until the process does its work again, on a processor of
its own. What the mesh itself waits must leave room in it."""

FIRST_WAIT_S: Final = 0.2
MAX_WAIT_S: Final = 10.0
"""For the sake of a machine on which something kills each process soon after its start (the kernel for want of memory,
where there are no control groups to tell it by). The waits of five kills in a row are shorter than
`RECOVERED_WITHIN_S`."""

MAX_OWN_WAIT_S: Final = 1.0
"""The longest of the mesh's own processes, sidecars among them: everybody waits for them, and the dearest start of one
(the activator's) is half a second of processor time, so that one killed for ever takes a third of a processor."""

AT_WORK_AFTER_S: Final = 5.0
"""One that ran for so long had begun its work: kills before that are forgotten."""


@dataclass(slots=True)
class Kills:
    """The kills of one process by others, since it last was at work."""

    count: int = 0

    def ran(self, seconds: float) -> None:
        """Note how long the process that has ended had run, however it ended."""
        if seconds >= AT_WORK_AFTER_S:
            self.count = 0

    def next_wait_s(self, *, own: bool) -> float:
        """Count one more kill and return how long the next start waits, the first time not at all.

        `own`: the process is the mesh's, and no function."""
        self.count += 1
        most_s = MAX_OWN_WAIT_S if own else MAX_WAIT_S
        return min(most_s, kill_wait_s(self.count)) if self.count > 1 else 0.0


def kill_wait_s(kills: int) -> float:
    """Return how long a process waits after so many kills in a row: 0.2 s doubling up to 10 s."""
    return exponential_s(max(0, kills - 2), FIRST_WAIT_S, MAX_WAIT_S)


@dataclass(slots=True)
class RestartBackOff:
    """How long a process of the mesh itself waits for its next start."""

    first_s: float
    """After a process that ended by itself; doubled for each that did so before."""
    cap_s: float
    _failures: int = 0
    _kills: Kills = field(default_factory=Kills)

    def wait_s_after(self, ran_s: float, *, steady: bool, killed: bool) -> float:
        """Count an end after `ran_s` and return how long to wait. `steady`: it has proved that it can do its work, so
        whatever was before is forgotten; `killed`: by somebody else."""
        self._kills.ran(ran_s)
        if steady:
            self._failures, self._kills = 0, Kills()
            return 0.0
        if killed:
            return self._kills.next_wait_s(own=True)
        self._failures += 1
        return exponential_s(self._failures - 1, self.first_s, self.cap_s)
