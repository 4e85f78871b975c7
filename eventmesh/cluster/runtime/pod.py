"""The life of one pod as a state machine: no processes, no API, no clock of its own; events in, orders out.

pending ──start──▶ running ──terminate──▶ draining ──sidecar gone──▶ stopping ──all gone──▶ gone
A container that ends is started again by the pod's restart policy: at once the first time, then after a back-off.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

from eventmesh.base.clock import Clock

FIRST_BACK_OFF_S: Final = 10.0
"""The kubelet's back-off after the second failure; it doubles."""

MAX_BACK_OFF_S: Final = 300.0
"""The kubelet's longest back-off."""

FORGIVEN_AFTER_S: Final = 600.0
"""A container that ran this long starts with a clean slate, as with the kubelet."""

SIDECAR_GRACE_S: Final = 30.0
"""How long the sidecar may drain before the function is told to stop, however long the pod's own grace is."""


class RestartPolicy(Enum):
    """`spec.restartPolicy`."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class Stage(Enum):
    """Where the pod is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    DRAINING = "draining"
    """Told to go: the sidecar finishes what is in flight."""
    STOPPING = "stopping"
    """The functions were told to stop."""
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A container without a process, and why."""

    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """A container with a process."""

    started_at: datetime
    since: float
    """The same moment on the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Terminated:
    """A process that ended. `code` is the exit code, 128 + n for signal n."""

    code: int
    signal: int
    started_at: datetime
    finished_at: datetime
    message: str = ""

    @property
    def reason(self) -> str:
        """Return Kubernetes' word for the outcome."""
        return "Completed" if self.code == 0 else "Error"


State = Waiting | Running | Terminated


@dataclass(slots=True)
class Container:
    """What is known of one container."""

    name: str
    sidecar: bool = False
    state: State = field(default_factory=Waiting)
    last: Terminated | None = None
    restarts: int = 0
    failures: int = 0
    """Starts since the slate was clean; the length of the back-off."""
    retry_at: float | None = None

    @property
    def running(self) -> bool:
        """True while it has a process."""
        return isinstance(self.state, Running)


@dataclass(frozen=True, slots=True)
class Start:
    """Start the process of a container; answer with `started` or `not_started`."""

    container: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a signal to the process group of a container."""

    container: str
    signal: int


Order = Start | Send


class PodMachine:
    """One pod. Every method returns the orders to carry out; `wake_at` says when to call `tick` at the latest."""

    def __init__(
        self, containers: Sequence[Container], restart: RestartPolicy, clock: Clock, *, announced: bool = True
    ) -> None:
        """`announced`: somebody tells by `told_ready` when the functions answer; else they do when they run."""
        self.containers = {container.name: container for container in containers}
        self.stage = Stage.PENDING
        self._restart = restart
        self._clock = clock
        self._announced = announced
        self._told_ready = not announced
        self._kill_at = 0.0
        self._stop_at = 0.0

    @property
    def ready(self) -> bool:
        """True while the pod may be sent requests."""
        return (
            self.stage is Stage.RUNNING
            and self._told_ready
            and all(container.running for container in self.containers.values())
        )

    @property
    def wake_at(self) -> float | None:
        """Return the monotonic time of the next `tick`, or None when only events move the pod."""
        match self.stage:
            case Stage.RUNNING:
                return min((c.retry_at for c in self.containers.values() if c.retry_at is not None), default=None)
            case Stage.DRAINING:
                return self._stop_at
            case Stage.STOPPING:
                return self._kill_at
            case Stage.PENDING | Stage.GONE:
                return None

    @property
    def gone(self) -> bool:
        """True when the pod was told to go and no process of it is left."""
        return self.stage is Stage.GONE

    @property
    def finished(self) -> bool:
        """True when every function has ended for good by the restart policy."""
        return all(self._done(container) for container in self.containers.values() if not container.sidecar)

    def start(self) -> list[Order]:
        """Begin: sidecar first, since the function may need it from its first line on."""
        self.stage = Stage.RUNNING
        order = sorted(self.containers.values(), key=lambda container: not container.sidecar)
        return [Start(container.name) for container in order]

    def started(self, name: str) -> list[Order]:
        """A process runs; when the pod was told to go meanwhile, it is told at once."""
        container = self.containers[name]
        container.retry_at = None
        container.state = Running(self._clock.now(), self._clock.monotonic())
        if self.stage is Stage.STOPPING or (self.stage is Stage.DRAINING and container.sidecar):
            return [Send(name, signal.SIGTERM)]
        return []

    def not_started(self, name: str, reason: str, message: str) -> list[Order]:
        """There is no process, for a reason that may pass (an image that is added, a Secret that appears)."""
        container = self.containers[name]
        container.state = Waiting(reason, message)
        if self.stage is not Stage.RUNNING:
            return self._continue_ending()
        container.failures += 1
        container.retry_at = self._clock.monotonic() + back_off_s(container.failures)
        return []

    def exited(self, name: str, status: int, message: str = "") -> list[Order]:
        """A process ended with exit code `status`, or by the signal `-status`."""
        container = self.containers[name]
        began = container.state if isinstance(container.state, Running) else None
        now = self._clock.now()
        ended = Terminated(
            code=128 - status if status < 0 else status,
            signal=max(0, -status),
            started_at=began.started_at if began else now,
            finished_at=now,
            message=message,
        )
        container.state = ended
        if self.stage is not Stage.RUNNING:
            return self._continue_ending()
        if not container.sidecar:
            # Whether the function answers is unknown until its next process has been probed.
            self._told_ready = not self._announced
        if self.finished:
            return self._end_sidecars()
        if self._done(container):
            return []
        if began is not None and self._clock.monotonic() - began.since >= FORGIVEN_AFTER_S:
            container.failures = 0
        container.failures += 1
        container.last = ended
        if container.failures == 1:
            return self._restart_now(container)
        wait_s = back_off_s(container.failures)
        container.retry_at = self._clock.monotonic() + wait_s
        container.state = Waiting("CrashLoopBackOff", f"back-off {wait_s:.0f}s restarting failed container {name}")
        return []

    def told_ready(self, ready: bool) -> None:
        """The sidecar says whether the function answers."""
        self._told_ready = ready

    def terminate(self, grace_s: float) -> list[Order]:
        """Begin to end: drain, stop, and kill what is left after `grace_s`. A second call may only shorten it."""
        now = self._clock.monotonic()
        if self.stage in (Stage.DRAINING, Stage.STOPPING):
            self._kill_at = min(self._kill_at, now + grace_s)
            self._stop_at = min(self._stop_at, self._kill_at)
            return self.tick()
        if self.stage is Stage.GONE:
            return []
        self._kill_at = now + grace_s
        self._stop_at = now + min(SIDECAR_GRACE_S, grace_s / 2)
        self.stage = Stage.DRAINING
        for container in self.containers.values():
            container.retry_at = None
        orders: list[Order] = self._end_sidecars()
        return orders or self._continue_ending()

    def tick(self) -> list[Order]:
        """Do what is due by now."""
        now = self._clock.monotonic()
        match self.stage:
            case Stage.RUNNING:
                due = [c for c in self.containers.values() if c.retry_at is not None and c.retry_at <= now]
                return [order for container in due for order in self._restart_now(container)]
            case Stage.DRAINING if now >= self._stop_at:
                return self._stop_functions()
            case Stage.STOPPING if now >= self._kill_at:
                self._kill_at = now + 1.0
                return [Send(c.name, signal.SIGKILL) for c in self.containers.values() if c.running]
            case _:
                return []

    def _done(self, container: Container) -> bool:
        if not isinstance(container.state, Terminated) or container.sidecar:
            return False
        match self._restart:
            case RestartPolicy.ALWAYS:
                return False
            case RestartPolicy.ON_FAILURE:
                return container.state.code == 0
            case RestartPolicy.NEVER:
                return True

    def _restart_now(self, container: Container) -> list[Order]:
        container.retry_at = None
        if container.last is not None:
            container.restarts += 1
        container.state = Waiting()
        return [Start(container.name)]

    def _end_sidecars(self) -> list[Order]:
        return [Send(c.name, signal.SIGTERM) for c in self.containers.values() if c.sidecar and c.running]

    def _continue_ending(self) -> list[Order]:
        running = [container for container in self.containers.values() if container.running]
        if self.stage is Stage.DRAINING and not any(container.sidecar for container in running):
            return self._stop_functions()
        if self.stage is Stage.STOPPING and not running:
            self.stage = Stage.GONE
        return []

    def _stop_functions(self) -> list[Order]:
        self.stage = Stage.STOPPING
        orders: list[Order] = [
            Send(c.name, signal.SIGTERM) for c in self.containers.values() if c.running and not c.sidecar
        ]
        return orders or self._continue_ending()


def back_off_s(failures: int) -> float:
    """Return how long a container waits after so many starts that failed: 1 s, then 10 s doubling up to 300 s."""
    if failures <= 1:
        return 1.0
    return min(MAX_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** min(failures - 2, 10))
