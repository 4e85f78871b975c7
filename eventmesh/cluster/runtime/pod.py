"""The life of one pod as a state machine: no processes, no API, no clock of its own; events in, orders out.

pending ──start──▶ running ──terminate──▶ draining ──sidecar gone──▶ stopping ──all gone──▶ gone
Running begins with the init containers, one after the other; the containers of the work start together when the last
has succeeded. A side container among them has done its part once it has started, runs on, and ends after the work. A
container of the work that ends is started again by the pod's restart policy: at once the first time, then after a
back-off. A container whose liveness or startup probe gives it up is told to stop, killed after its grace, and then
treated like any that ended.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.cluster.runtime.container import Container, RestartPolicy, Role, Running, Terminated, Waiting, back_off_s
from eventmesh.cluster.runtime.init_sequence import InitSequence
from eventmesh.cluster.runtime.orders import Ask, Order, Send, Start, Tell
from eventmesh.cluster.runtime.probe import Outcome, Probe, ProbeWatch, ProbeWatches, Purpose, Verdict
from eventmesh.cluster.runtime.stage import Stage
from eventmesh.sidecar.readiness import FUNCTION_BEGAN_AGAIN

SIDECAR_GRACE_S: Final = 30.0
"""How long the sidecar may drain before the function is told to stop, however long the pod's own grace is."""

DEFAULT_GRACE_S: Final = 30.0
"""Kubernetes' default of terminationGracePeriodSeconds."""

DEADLINE_EXCEEDED: Final = "Pod was active on the node longer than the specified deadline"

_KILL_AGAIN_S: Final = 1.0
"""Between kills of a process that the kernel does not let go."""


class PodMachine:
    """One pod. Every method returns the orders to carry out; `wake_at` says when to call `tick` at the latest."""

    def __init__(
        self,
        containers: Sequence[Container],
        restart: RestartPolicy,
        clock: Clock,
        *,
        grace_s: float = DEFAULT_GRACE_S,
        deadline_s: float | None = None,
    ) -> None:
        """`grace_s`: `terminationGracePeriodSeconds`. `deadline_s`: `activeDeadlineSeconds`."""
        self.containers = {container.name: container for container in containers}
        self.stage = Stage.PENDING
        self.expired = False
        """True when the pod ran longer than `activeDeadlineSeconds` allows."""
        self._restart = restart
        self._clock = clock
        self._grace_s = grace_s
        self._deadline_s = deadline_s
        self._deadline_at: float | None = None
        self._watches = {container.name: ProbeWatches(container.probes, clock) for container in containers}
        self._told_ready = not any(container.pushed for container in containers)
        self._init = InitSequence(containers)
        self._sides_told = False
        self._kill_at = 0.0
        self._stop_at = 0.0
        if self._init:
            for app in self._of(Role.APP):
                app.state = Waiting("PodInitializing")

    # -- what it is

    @property
    def ready(self) -> bool:
        """True while the pod may be sent requests."""
        return (
            self.stage is Stage.RUNNING
            and all(self.is_ready(container) for container in self._of(Role.APP, Role.SIDE))
            and all(container.running for container in self._of(Role.MESH))
        )

    def is_started(self, container: Container) -> bool:
        """Return whether the container runs and its startup probe, if it has one, has passed."""
        return container.running and self._watches[container.name].passed(Purpose.STARTUP)

    def is_ready(self, container: Container) -> bool:
        """Return whether the container is ready, whatever becomes of the others; an init container that it is done."""
        if container.role is Role.INIT:
            return container.succeeded
        told = self._told_ready or not container.pushed
        return self.is_started(container) and told and self._watches[container.name].passed(Purpose.READINESS)

    @property
    def uninitialized(self) -> list[str]:
        """Return the names of the init containers that have not done their part yet."""
        return self._init.remaining

    @property
    def wake_at(self) -> float | None:
        """Return the monotonic time of the next `tick`, or None when only events move the pod."""
        match self.stage:
            case Stage.RUNNING:
                times = [self._deadline_at, *(watch.due_at for _, watch in self._askable())]
                for container in self.containers.values():
                    times += [container.retry_at, container.kill_at]
                return min((at for at in times if at is not None), default=None)
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
        """True when every container of the work has ended for good, or never will begin."""
        return self._init.failed or all(self._done(container) for container in self._of(Role.APP))

    # -- what happens to it

    def start(self) -> list[Order]:
        """Begin: sidecar first, since the function may need it from its first line on."""
        self.stage = Stage.RUNNING
        if self._deadline_s is not None:
            self._deadline_at = self._clock.monotonic() + self._deadline_s
        return [*(Start(container.name) for container in self._of(Role.MESH)), *self._start_next()]

    def resume(self, age_s: float, ready: Collection[str]) -> list[Order]:
        """Go on, instead of `start`, with what an earlier runtime has left; containers have been brought to that.

        `age_s`: since when the pod runs. `ready`: the containers that were.
        """
        self.stage = Stage.RUNNING
        self._told_ready = all(each.name in ready for each in self.containers.values() if each.pushed)
        if self._deadline_s is not None:
            self._deadline_at = self._clock.monotonic() + max(0.0, self._deadline_s - age_s)
        for container in self.containers.values():
            if isinstance(container.state, Running):
                self._watches[container.name].resume(container.state.since, container.name in ready)
        has_begun = any(app.running or app.restarts or isinstance(app.state, Terminated) for app in self._of(Role.APP))
        self._init.resume(has_begun, self.is_started)
        if self.finished:
            return self._end_sidecars()
        orders: list[Order] = [Start(container.name) for container in self._of(Role.MESH) if not container.running]
        return orders if self._init.is_running else [*orders, *self._start_next()]

    def started(self, name: str) -> list[Order]:
        """A process runs; when the pod was told to go meanwhile, it is told at once."""
        container = self.containers[name]
        container.retry_at = None
        container.run += 1
        now = self._clock.monotonic()
        container.state = Running(self._clock.now(), now)
        if self.stage is Stage.STOPPING or (self.stage is Stage.DRAINING and container.role is Role.MESH):
            return [Send(name, signal.SIGTERM)]
        self._watches[name].begin(now)
        return [*self._after_side(container), *self._probed_anew(container)]

    def not_started(self, name: str, reason: str, message: str) -> list[Order]:
        """There is no process, for a reason that may pass (an image that is added, a Secret that appears)."""
        container = self.containers[name]
        told = container.state == Waiting(reason, message)
        container.state = Waiting(reason, message)
        if self.stage is not Stage.RUNNING:
            return self._continue_ending()
        container.failures += 1
        container.retry_at = self._clock.monotonic() + back_off_s(container.failures, container.role)
        return [] if told else [Tell("Failed", f"Error: {reason}: {message}" if message else f"Error: {reason}")]

    def exited(self, name: str, status: int, message: str = "", cause: str = "") -> list[Order]:
        """A process ended with exit code `status`, or by the signal `-status`; `cause` as in `Terminated`."""
        container = self.containers[name]
        ended = container.end(status, message, cause, self._clock)
        self._watches[name].end()
        if self.stage is not Stage.RUNNING:
            return self._continue_ending()
        if container.role is not Role.SIDE:
            # Whether the function answers is unknown until its next process, or the sidecar's, has probed it.
            self._told_ready = not any(each.pushed for each in self.containers.values())
        if container.role is Role.INIT and ended.code == 0 and not self.expired:
            self._init.passed(container)
            return self._start_next()
        if container.role is Role.INIT and (self.expired or self._restart is RestartPolicy.NEVER):
            self._init.failed = True
        if self.finished:
            self._deadline_at = None
            return self._end_sidecars()
        if self._done(container):
            return []
        return self._again(container, ended)

    def told_ready(self, ready: bool) -> None:
        """The sidecar says whether the function answers."""
        self._told_ready = ready
        if ready:
            for container in self.containers.values():
                container.silence = ""

    def silent(self, name: str, run: int, found: str) -> list[Order]:
        """The container's process number `run` did not answer for a while; `found` says more."""
        container = self.containers[name]
        if self.stage is not Stage.RUNNING or container.run != run or self.is_ready(container):
            return []
        if not all(each.running for each in self._of(Role.MESH)):
            # Nobody asks it anything: why the sidecar does not run is what is to be told.
            return []
        told, container.silence = container.silence == found, found
        return [] if told else [Tell("Unhealthy", f"Readiness probe failed: {found}")]

    def probed(self, name: str, purpose: Purpose, run: int, outcome: Outcome) -> list[Order]:
        """A probe that was asked of the container's process number `run` was answered."""
        container = self.containers[name]
        if self.stage is not Stage.RUNNING or container.run != run or not container.running:
            return []
        watch = self._watches[name][purpose]
        verdict = watch.answer(outcome)
        orders: list[Order] = []
        if verdict in (Verdict.FAILURE, Verdict.GAVE_UP):
            orders.append(Tell("Unhealthy", f"{purpose.value} probe failed: {outcome.output}"))
        if verdict is Verdict.GAVE_UP and purpose is not Purpose.READINESS:
            orders += self._give_up(container, watch.probe)
        if verdict is Verdict.PASSED and purpose is Purpose.STARTUP:
            watch.due_at = None
            orders += self._after_side(container)
        return orders

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
            container.retry_at = container.kill_at = None
        orders: list[Order] = self._end_mesh()
        return orders or self._continue_ending()

    def tick(self) -> list[Order]:
        """Do what is due by now."""
        now = self._clock.monotonic()
        match self.stage:
            case Stage.RUNNING:
                return self._due(now)
            case Stage.DRAINING if now >= self._stop_at:
                return self._stop_functions()
            case Stage.STOPPING if now >= self._kill_at:
                self._kill_at = now + _KILL_AGAIN_S
                return [Send(c.name, signal.SIGKILL) for c in self.containers.values() if c.running]
            case _:
                return []

    # -- how

    def _of(self, *roles: Role) -> list[Container]:
        return [container for container in self.containers.values() if container.role in roles]

    def _after_side(self, container: Container) -> list[Order]:
        """Go on with the next init container, or the work, when it was this side container that it waited for."""
        if container.role is not Role.SIDE or not (self._init.waits_for(container) and self.is_started(container)):
            return []
        self._init.passed(container)
        return self._start_next() if self.stage is Stage.RUNNING else []

    def _probed_anew(self, container: Container) -> list[Order]:
        """Have the sidecar find out at once whether the work answers that has begun again: it may have seen no end."""
        if container.role is not Role.APP or container.run == 1 or not any(c.pushed for c in self.containers.values()):
            return []
        return [Send(c.name, FUNCTION_BEGAN_AGAIN) for c in self._of(Role.MESH) if c.running]

    def _start_next(self) -> list[Order]:
        """Start the first init container that has its part still to do, or all of the work when there is none."""
        first = self._init.next()
        due = (
            [each for each in self._of(Role.APP) if not (each.running or self._done(each))]
            if first is None
            else [first]
        )
        for container in due:
            container.state = Waiting()
        return [Start(container.name) for container in due]

    def _again(self, container: Container, ended: Terminated) -> list[Order]:
        """Start a container that has ended again: now, or after its back-off."""
        container.last = ended
        wait_s = container.wait_s_after(ended)
        if not wait_s:
            return self._restart_now(container)
        container.retry_at = self._clock.monotonic() + wait_s
        container.state = Waiting(
            "CrashLoopBackOff", f"back-off {wait_s:g}s restarting failed container {container.name}"
        )
        return [Tell("BackOff", f"Back-off restarting failed container {container.name}")]

    def _done(self, container: Container) -> bool:
        """Return whether a container of the work has ended for good."""
        if container.role is not Role.APP:
            return False
        return (self.expired and not container.running) or container.ended_for_good(self._restart)

    def _restart_now(self, container: Container) -> list[Order]:
        container.retry_at = None
        if container.last is not None:
            container.restarts += 1
        container.state = Waiting()
        return [Start(container.name)]

    def _due(self, now: float) -> list[Order]:
        orders: list[Order] = []
        if self._deadline_at is not None and self._deadline_at <= now:
            return self._expire()
        for container in self.containers.values():
            if container.retry_at is not None and container.retry_at <= now:
                orders += self._restart_now(container)
            if container.kill_at is not None and container.kill_at <= now:
                container.kill_at = now + _KILL_AGAIN_S
                orders.append(Send(container.name, signal.SIGKILL))
        for container, watch in self._askable():
            if watch.due_at is not None and watch.due_at <= now:
                watch.asked()
                orders.append(Ask(container.name, watch.probe, container.run))
        return orders

    def _askable(self) -> Iterable[tuple[Container, ProbeWatch]]:
        """Yield the probes that may be asked now."""
        for container in self.containers.values():
            if container.running and container.kill_at is None:
                for watch in self._watches[container.name].askable():
                    yield container, watch

    def _give_up(self, container: Container, probe: Probe) -> list[Order]:
        grace_s = self._grace_s if probe.grace_s is None else probe.grace_s
        container.kill_at = self._clock.monotonic() + grace_s
        word = probe.purpose.value.lower()
        return [
            Tell("Killing", f"Container {container.name} failed {word} probe, will be restarted", warning=False),
            Send(container.name, signal.SIGTERM),
        ]

    def _expire(self) -> list[Order]:
        """End the work for good: the pod has had all the time that it may have."""
        self.expired = True
        self._deadline_at = None
        orders: list[Order] = [Tell("DeadlineExceeded", DEADLINE_EXCEEDED, warning=False)]
        running = [container for container in self._of(Role.INIT, Role.APP) if container.running]
        for container in self.containers.values():
            container.retry_at = None
        for container in running:
            container.kill_at = self._clock.monotonic() + self._grace_s
            orders.append(Send(container.name, signal.SIGTERM))
        return orders if running else [*orders, *self._end_sidecars()]

    def _end_sidecars(self) -> list[Order]:
        """End what only ran for the work, which is done: first the side containers, then the mesh's own."""
        sides = [container for container in self._of(Role.SIDE) if container.running]
        orders: list[Order] = []
        for container in sides:
            if container.kill_at is None:
                container.kill_at = self._clock.monotonic() + self._grace_s
                orders.append(Send(container.name, signal.SIGTERM))
        for container in self._of(Role.SIDE):
            container.retry_at = None
        return orders if sides else self._end_mesh()

    def _end_mesh(self) -> list[Order]:
        return [Send(c.name, signal.SIGTERM) for c in self._of(Role.MESH) if c.running]

    def _continue_ending(self) -> list[Order]:
        running = [container for container in self.containers.values() if container.running]
        if self.stage is Stage.DRAINING and not any(container.role is Role.MESH for container in running):
            return self._stop_functions()
        if self.stage is Stage.STOPPING and not running:
            self.stage = Stage.GONE
        if self.stage is Stage.STOPPING and not self._sides_told and all(c.role is Role.SIDE for c in running):
            self._sides_told = True
            return [Send(container.name, signal.SIGTERM) for container in running]
        return []

    def _stop_functions(self) -> list[Order]:
        self.stage = Stage.STOPPING
        orders: list[Order] = [Send(c.name, signal.SIGTERM) for c in self._of(Role.INIT, Role.APP) if c.running]
        return orders or self._continue_ending()
