"""What happens to a pod, in the order in which its worker hears of it."""

from __future__ import annotations

from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.probe import Outcome, Purpose


@frozen
class Exited:
    """The process of a container ended."""

    container: str
    status: int
    message: str


@frozen
class ToldReady:
    """The sidecar said whether the function answers."""

    ready: bool


@frozen
class Probed:
    """A probe of the container's process number `run` was answered."""

    container: str
    purpose: Purpose
    run: int
    outcome: Outcome


@frozen
class Silent:
    """The container's process number `run` does not answer its sidecar, and this was found of it."""

    container: str
    run: int
    found: str


@frozen
class Terminate:
    """The pod is to end within the grace."""

    grace_s: float


@frozen
class Due:
    """The moment has come that the machine wanted to be woken at."""


Happening = Exited | ToldReady | Probed | Silent | Terminate | Due
