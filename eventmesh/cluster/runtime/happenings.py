"""What happens to a pod, in the order in which its worker hears of it."""

from __future__ import annotations

from dataclasses import dataclass

from eventmesh.cluster.runtime.probe import Outcome, Purpose


@dataclass(frozen=True, slots=True)
class Exited:
    """The process of a container ended."""

    container: str
    status: int
    message: str


@dataclass(frozen=True, slots=True)
class ToldReady:
    """The sidecar said whether the function answers."""

    ready: bool


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe of the container's process number `run` was answered."""

    container: str
    purpose: Purpose
    run: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Terminate:
    """The pod is to end within the grace."""

    grace_s: float


@dataclass(frozen=True, slots=True)
class Due:
    """The moment has come that the machine wanted to be woken at."""


Happening = Exited | ToldReady | Probed | Terminate | Due
