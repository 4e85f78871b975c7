"""One container of a pod: what it is for, and what is known of its process. Values only; `pod` moves them."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.probe import Probe
from eventmesh.cluster.runtime.restarts import AT_WORK_AFTER_S, Kills, kill_wait_s

FIRST_BACK_OFF_S: Final = 10.0
"""The kubelet's back-off after the second failure; it doubles."""

MAX_BACK_OFF_S: Final = 300.0
"""The kubelet's longest back-off."""

FORGIVEN_AFTER_S: Final = 600.0
"""A container that ran this long starts with a clean slate, as with the kubelet."""


class Role(Enum):
    """What a container is for."""

    INIT = "init"
    """Runs to its end before the next begins (`spec.initContainers`)."""
    SIDE = "side"
    """Among the init containers, but for the whole life of the pod (`restartPolicy: Always` there)."""
    APP = "app"
    """The work itself (`spec.containers`)."""
    MESH = "mesh"
    """The mesh's own sidecar: first to start, last to be needed, never counted in the pod's outcome."""


class RestartPolicy(Enum):
    """`spec.restartPolicy`."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


@frozen
class Waiting:
    """A container without a process, and why."""

    reason: str = "ContainerCreating"
    message: str = ""


@frozen
class Running:
    """A container with a process."""

    started_at: datetime
    since: float
    """The same moment on the monotonic clock."""


@frozen
class Terminated:
    """A process that ended. `code` is the exit code, 128 + n for signal n."""

    code: int
    signal: int
    started_at: datetime
    finished_at: datetime
    message: str = ""
    cause: str = ""
    """Why it ended if that is known from elsewhere: OOMKilled, StartError."""
    killed_by_others: bool = False
    """Whether it was a `kill -9` that was not its pod's, nor for its want of memory: no fault of its own."""

    @property
    def reason(self) -> str:
        """Return Kubernetes' word for the outcome."""
        return self.cause or ("Completed" if self.code == 0 else "Error")


State = Waiting | Running | Terminated


@dataclass(slots=True)
class Container:
    """What is known of one container."""

    name: str
    role: Role = Role.APP
    probes: tuple[Probe, ...] = ()
    """What the runtime asks it; the sidecar asks beside."""
    pushed: bool = False
    """Whether the sidecar tells its readiness."""
    state: State = field(default_factory=Waiting)
    last: Terminated | None = None
    restarts: int = 0
    run: int = 0
    """Counts its processes, so that what is heard of an earlier one can be told apart."""
    failures: int = 0
    """Ends and vain starts since the slate was clean; the length of the back-off."""
    kills: Kills = field(default_factory=Kills)
    """By others; they count for themselves."""
    retry_at: float | None = None
    silence: str = ""
    """Why it does not answer, as far as was found; empty when it does, or nobody has looked yet."""
    kill_at: float | None = None
    """When it is killed, after it was told to stop because a probe gave it up."""

    @property
    def running(self) -> bool:
        """True while it has a process."""
        return isinstance(self.state, Running)

    def end(self, status: int, message: str, cause: str, clock: Clock) -> Terminated:
        """Note that its process ended, as `PodMachine.exited` says; failures long ago are forgiven."""
        began = self.state if isinstance(self.state, Running) else None
        ran_s = clock.monotonic() - began.since if began is not None else 0.0
        if ran_s >= forgiven_after_s(self.role):
            self.failures = 0
        self.kills.ran(ran_s)
        now = clock.now()
        ended = Terminated(
            code=128 - status if status < 0 else status,
            signal=max(0, -status),
            started_at=began.started_at if began else now,
            finished_at=now,
            message=message,
            cause=cause,
            killed_by_others=status == -signal.SIGKILL and not cause and self.kill_at is None,
        )
        self.state = ended
        self.silence = ""
        self.kill_at = None
        return ended

    def wait_s_after(self, ended: Terminated) -> float:
        """Count an end after which it is to run again, and return how long it waits; the first time not at all."""
        if ended.killed_by_others:
            return self.kills.next_wait_s(own=self.role is Role.MESH)
        self.failures += 1
        return back_off_s(self.failures, self.role) if self.failures > 1 else 0.0

    def ended_for_good(self, policy: RestartPolicy) -> bool:
        """Return whether its process has ended and `policy` wants no other."""
        if not isinstance(self.state, Terminated):
            return False
        match policy:
            case RestartPolicy.ALWAYS:
                return False
            case RestartPolicy.ON_FAILURE:
                return self.state.code == 0
            case RestartPolicy.NEVER:
                return True

    @property
    def succeeded(self) -> bool:
        """True when its process ended well."""
        return isinstance(self.state, Terminated) and self.state.code == 0


def forgiven_after_s(role: Role) -> float:
    """Return how long a container must have run for its earlier deaths to be forgotten."""
    return AT_WORK_AFTER_S if role is Role.MESH else FORGIVEN_AFTER_S


def back_off_s(failures: int, role: Role = Role.APP) -> float:
    """Return how long a container waits after so many starts that failed: 1 s, then 10 s doubling up to 300 s."""
    if role is Role.MESH:
        return kill_wait_s(failures)
    if failures <= 1:
        return 1.0
    return min(MAX_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** min(failures - 2, 10))
