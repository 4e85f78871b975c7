"""One pod at work: carries out the orders of its machine, and tells the API how the pod is."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from dataclasses import replace
from typing import Final

from eventmesh.base import log
from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.runtime import podspec
from eventmesh.cluster.runtime.adoption import (
    STATUS_UNKNOWN,
    LeftPod,
    age_s,
    image_ids,
    ready_containers,
    recall,
)
from eventmesh.cluster.runtime.asking import Asker
from eventmesh.cluster.runtime.disk import disk_trouble
from eventmesh.cluster.runtime.environment import ContainerConfigError
from eventmesh.cluster.runtime.happenings import Due, Exited, Happening, Probed, Silent, Terminate, ToldReady
from eventmesh.cluster.runtime.hooks import POST_START, PRE_STOP
from eventmesh.cluster.runtime.host import Host
from eventmesh.cluster.runtime.images import UnknownImageError
from eventmesh.cluster.runtime.lifecycle import PodLifecycle
from eventmesh.cluster.runtime.listening import watch_silence
from eventmesh.cluster.runtime.logs import ContainerLog
from eventmesh.cluster.runtime.orders import Ask, Order, Send, Start, Tell
from eventmesh.cluster.runtime.pod import PodMachine
from eventmesh.cluster.runtime.pod_commands import PodCommands
from eventmesh.cluster.runtime.pod_groups import PodGroups
from eventmesh.cluster.runtime.process import Process, SpawnError
from eventmesh.cluster.runtime.run_log import STREAMS, RunLog
from eventmesh.cluster.runtime.sandbox import PodSandbox
from eventmesh.cluster.runtime.sessions import Session, start_session
from eventmesh.cluster.runtime.status import Facts, pod_status
from eventmesh.cluster.runtime.teller import PodTeller
from eventmesh.cluster.runtime.tokens import PodTokens
from eventmesh.cluster.runtime.volume_keeper import VolumeKeeper
from eventmesh.cluster.runtime.volumes import PodVolumes
from eventmesh.kube.api import Object
from eventmesh.kube.injection import has_sidecar

_log = log.get("runtime.pod")

MAX_MESSAGE_BYTES: Final = 2048
"""Of a failed container's log, what becomes its termination message; the kubelet's limit for that source."""

START_FAILED: Final = 128
"""The exit code that Kubernetes shows for a program that could not be executed."""

OUT_OF_MEMORY: Final = "OOMKilled"

NO_PULL: Final = "attempting to pull the image may not succeed."

FIRST_STATUS_S: Final = 0.15
"""So long a pod with a sidecar has time to become ready before its status says that it is not: each status has
controllers and data planes look at it, in the moment in which its processes need all processors. Any other news is told
at once."""

DRAIN_LOG_S: Final = 0.2
"""How long an ended process's pipes may take to close before its last words are read without them."""


class PodWorker:
    """Runs one pod until it is gone. Everything that happens passes one inbox, in order."""

    def __init__(self, pod: Object, host: Host, left: LeftPod | None = None) -> None:
        """`left`: what an earlier runtime has left of it."""
        self._host = host
        self._left = left
        self._teller = PodTeller(host.api, host.recorder, pod, host.clock)
        self._machine = PodMachine(
            podspec.containers(pod),
            podspec.restart_policy(pod),
            host.clock,
            grace_s=podspec.grace_s(pod),
            deadline_s=podspec.deadline_s(pod),
        )
        if left is not None:
            recall(self._machine.containers, pod, left, host.clock)
        self._inbox: asyncio.Queue[Happening] = asyncio.Queue()
        self._processes: dict[str, Process] = {}
        self._causes: dict[str, str] = {}
        """Why a container is about to end, when the runtime itself ends it."""
        metadata = pod["metadata"]
        self.uid: str = metadata["uid"]
        self._groups = PodGroups(host.groups, self.uid, host.ready_groups.take)
        self.directory = host.directory / podspec.directory_name(pod)
        self._logs = {name: ContainerLog(self.directory / name, host.clock) for name in self._machine.containers}
        self._watchers = TaskGroup(f"pod.{metadata['namespace']}/{metadata['name']}")
        self._sandbox = PodSandbox(host, pod)
        self._asker: Asker | None = None
        self._lifecycle: PodLifecycle | None = None
        self._volumes: PodVolumes | None = None
        self._commands: PodCommands | None = None
        self._kept: VolumeKeeper | None = None
        self._remove = True
        self._timer: asyncio.Task[None] | None = None
        self._armed_for: float | None = None

    @property
    def pod(self) -> Object:
        """Return the pod as it was last seen."""
        return self._teller.pod

    @property
    def containers(self) -> list[str]:
        """Return the names of all containers, the sidecar's included."""
        return list(self._logs)

    def pids(self) -> dict[str, int]:
        """Return the process of each container that runs."""
        return {name: process.pid for name, process in self._processes.items()}

    def out_of_memory(self, container: str, pid: int) -> None:
        """End a container that took more memory than its limit, if it still is this process."""
        process = self._processes.get(container)
        if process is not None and process.pid == pid:
            self._causes[container] = OUT_OF_MEMORY
            self._watchers.spawn("out of memory", self._host.launcher.signal(process, signal.SIGKILL))

    def tell_refusals(self) -> None:
        """Record an Event of each container that wants more processes than it may have."""
        for told in self._groups.refusals():
            self._record(told)

    def log(self, container: str) -> ContainerLog | None:
        """Return the log of a container, or None when the pod has none of that name."""
        return self._logs.get(container)

    async def open_session(self, container: str, argv: tuple[str, ...], *, stdin: bool, tty: bool) -> Session:
        """Run `argv` beside a container's own process, in its surroundings; it ends with the pod at the latest.

        Raises UnavailableError when the container does not run, SpawnError when the program cannot be executed.
        """
        self.running(container)
        command = replace(self._its_commands.command(container), argv=argv, entry="")
        network = self._sandbox.network_of(container)
        session = await start_session(self._host.launcher, command, network, stdin=stdin, tty=tty)
        self._watchers.spawn("session", session.guard())
        return session

    def running(self, container: str) -> Process:
        """Return the process of a container; raises UnavailableError when there is none now."""
        if container not in self._processes:
            raise UnavailableError(f'container not found ("{container}"): it is not running')
        return self._processes[container]

    async def dial(self, port: int) -> socket.socket:
        """Return a connection to `port` of the pod; raises UnavailableError when nobody listens there."""
        if self._asker is None:
            raise UnavailableError("the pod has not been started yet")
        return await self._asker.dial(port)

    def terminate(self, grace_s: float, *, remove: bool = True) -> None:
        """Have the pod end; `remove` says whether its object goes with it (not when the whole mesh stops)."""
        self._remove = self._remove and remove
        self._inbox.put_nowait(Terminate(grace_s))

    def refresh_volumes(self) -> None:
        """Bring the files of the pod's volumes up to date: a ConfigMap or Secret of its namespace has changed."""
        if self._kept is not None:
            self._kept.refresh()

    async def run(self) -> None:
        """Start the pod, keep it running, return when it is gone."""
        try:
            await self._prepare()
            self._tell_what_it_lacks()
            await self._obey(self._machine.start() if self._left is None else self._adopt(self._left))
            if self._left is None and has_sidecar(self.pod):
                self._watchers.spawn("first status", self._wake_in(FIRST_STATUS_S))
            else:
                await self._publish()
            while not self._machine.gone:
                self._arm()
                await self._obey(self._take(await self._inbox.get()))
                await self._publish()
        finally:
            await self._leave()
        if self._remove:
            await self._teller.remove(self.directory)

    async def _prepare(self) -> None:
        """Make, or find again, what its containers start in."""
        if self._left is None:
            await self._sandbox.open(self._tell)
        else:
            self._sandbox.adopt(self._left, self._tell)
        host, place = self._host, self._sandbox.place
        tokens = PodTokens(host.api, host.clock, self.pod)
        await tokens.fetch()
        self._watchers.spawn("status", self._teller.catch_up())
        self._watchers.spawn("tokens", tokens.keep(self.refresh_volumes))
        volumes = PodVolumes(self.pod, place.address, self.directory / "volumes", host.references, tokens.current)
        commands = PodCommands(
            host, self._teller, self._sandbox, volumes, self._groups, self._processes, self.directory
        )
        if self._left is not None:
            commands.image_ids |= image_ids(self.pod)
        self._volumes, self._commands = volumes, commands
        self._kept = VolumeKeeper(self.pod["metadata"]["name"], volumes, host.clock)
        port = podspec.user_port(self.pod).number
        self._asker = Asker(place, port, has_sidecar(self.pod), host.launcher, commands.command)
        self._lifecycle = PodLifecycle(self._teller, host.launcher, host.clock, self._asker.ask)

    def _tell_what_it_lacks(self) -> None:
        missing = podspec.missing_pull_secrets(self.pod, self._host.references)
        if missing:
            told = f"Unable to retrieve some image pull secrets ({', '.join(missing)}); {NO_PULL}"
            self._record(Tell("FailedToRetrieveImagePullSecret", told))
        if self._host.groups.note and any(podspec.limits(self.pod, name).cpu_millis for name in self.containers):
            told = f"limits.cpu has no effect: {self._host.groups.note}"
            self._record(Tell("LimitsNotEnforced", told))

    async def _leave(self) -> None:
        await self._watchers.stop()
        if self._kept is not None:
            await self._kept.stop()
        for container_log in self._logs.values():
            container_log.close()
        self._groups.close()
        await self._sandbox.close()

    @property
    def _its_commands(self) -> PodCommands:
        assert self._commands is not None  # noqa: S101 - set before any start
        return self._commands

    # -- what happens to it

    def _tell(self, ready: bool) -> None:
        self._inbox.put_nowait(ToldReady(ready))

    def _arm(self) -> None:
        """Have the machine woken when it wants to be."""
        wake_at = self._machine.wake_at
        if wake_at == self._armed_for:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = wake_at
        self._timer = None if wake_at is None else self._watchers.spawn("timer", self._wake(wake_at))

    async def _wake_in(self, seconds: float) -> None:
        await self._host.clock.sleep(seconds)
        self._inbox.put_nowait(Due())

    async def _wake(self, at: float) -> None:
        await self._host.clock.sleep(at - self._host.clock.monotonic())
        self._armed_for = None
        self._inbox.put_nowait(Due())

    def _take(self, event: Happening) -> list[Order]:
        match event:
            case Exited(container, status, message):
                self._processes.pop(container, None)
                cause = self._causes.pop(container, "")
                self.tell_refusals()
                if self._groups.end(container) and status == -signal.SIGKILL:
                    cause = OUT_OF_MEMORY
                return self._machine.exited(container, status, message, cause)
            case ToldReady(ready):
                self._machine.told_ready(ready)
                return []
            case Silent(container, run, found):
                return self._machine.silent(container, run, found)
            case Probed(container, purpose, run, outcome):
                return self._machine.probed(container, purpose, run, outcome)
            case Terminate(grace_s):
                return self._machine.terminate(grace_s)
            case Due():
                return self._machine.tick()

    def _adopt(self, left: LeftPod) -> list[Order]:
        """Take over the processes that an earlier runtime has left."""
        assert self._volumes is not None  # noqa: S101 - set before
        for name, survivor in left.processes.items():
            self._processes[name] = survivor.process
            run = self._logs[name].resume_run(survivor.descriptors[: len(STREAMS)])
            self._watchers.spawn(name, self._await_exit(name, survivor.process, run))
            self._groups.resume(name, left.groups.get(name, ""))
            if name != podspec.SIDECAR:
                # It sees them already; from here on they follow their objects again.
                with suppress(ContainerConfigError, OSError):
                    self._volumes.mounts(podspec.container(self.pod, name), ())
        for container in self._machine.containers.values():
            if container.running and container.name not in left.processes:
                self._causes[container.name] = STATUS_UNKNOWN
                self._inbox.put_nowait(Exited(container.name, -signal.SIGKILL, "its end was seen by nobody"))
        orders = self._machine.resume(age_s(self.pod, self._host.clock), ready_containers(self.pod))
        for name, process in self._processes.items():
            self._listen_for(name, process)
        return orders

    # -- what the machine orders

    async def _obey(self, orders: list[Order]) -> None:
        while orders:
            # The sidecar last: it is forked, and is there before an interpreter is.
            starts = sorted((one for one in orders if isinstance(one, Start)), key=_is_sidecar)
            for order in orders:
                match order:
                    case Send(container, number) if container in self._processes:
                        await self._signal(container, self._processes[container], number)
                    case Ask():
                        self._watchers.spawn(f"{order.container} {order.probe.purpose.value}", self._ask(order))
                    case Tell():
                        self._record(order)
            outcomes = await asyncio.gather(*(self._start(order.container) for order in starts))
            orders = [order for outcome in outcomes for order in outcome]

    async def _start(self, name: str) -> list[Order]:
        try:
            command = self._its_commands.begin(name, self._record)
        except UnknownImageError as error:
            return self._machine.not_started(name, "ErrImagePull", str(error))
        except OSError as error:
            return self._machine.not_started(name, "CreateContainerConfigError", disk_trouble(error, self.directory))
        except MeshError as error:
            return self._machine.not_started(name, "CreateContainerConfigError", str(error))
        run = self._logs[name].open_run()
        stdout, stderr = run.pipe("stdout"), run.pipe("stderr")
        try:
            group = self._groups.of(name)
            keep = self._sandbox.keep(name, run.readers, group.name if group is not None else "")
            network = self._sandbox.network_of(name)
            process = await self._host.launcher.spawn(command, stdout, stderr, network, keep=keep)
        except SpawnError as error:
            return self._machine.exited(name, START_FAILED, str(error), "StartError")
        except UnavailableError as error:
            return self._machine.not_started(name, "RunContainerError", str(error))
        finally:
            os.close(stdout)
            os.close(stderr)
        self._processes[name] = process
        self._watchers.spawn(name, self._await_exit(name, process, run))
        assert self._lifecycle is not None  # noqa: S101 - set before any start
        hook = self._lifecycle.hook(name, POST_START)
        if hook is not None:
            self._watchers.spawn(POST_START, self._lifecycle.after_start(hook, name, process))
        orders = self._machine.started(name)
        self._listen_for(name, process)
        return orders

    def _listen_for(self, name: str, process: Process) -> None:
        """See to it that a function that its sidecar never calls ready does not stay unexplained."""
        container = self._machine.containers[name]
        if container.pushed:
            run = container.run
            watch = watch_silence(
                process.pid,
                podspec.user_port(self.pod).number,
                self._host.clock,
                lambda: container.run == run and container.running and not self._machine.is_ready(container),
                lambda found: self._inbox.put_nowait(Silent(name, run, f"{name} {found}")),
            )
            self._watchers.spawn("silence", watch)

    async def _signal(self, container: str, process: Process, number: int) -> None:
        assert self._lifecycle is not None  # noqa: S101 - set before any start
        hook = self._lifecycle.hook(container, PRE_STOP) if number == signal.SIGTERM else None
        if hook is None:
            await self._host.launcher.signal(process, number)
        else:
            self._watchers.spawn(PRE_STOP, self._lifecycle.before_stop(hook, container, process))

    async def _await_exit(self, name: str, process: Process, run: RunLog) -> None:
        status = await process.exited
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_LOG_S):
                await run.ended()
        message = self._logs[name].tail(MAX_MESSAGE_BYTES) if status != 0 else ""
        self._inbox.put_nowait(Exited(name, status, message))

    def _record(self, told: Tell) -> None:
        self._watchers.spawn("event", self._teller.record(told))

    async def _ask(self, order: Ask) -> None:
        assert self._asker is not None  # noqa: S101 - set before any start
        outcome = await self._asker.ask(order.container, order.probe)
        self._inbox.put_nowait(Probed(order.container, order.probe.purpose, order.run, outcome))

    async def _publish(self) -> None:
        if not self._machine.gone:
            note = self._host.network_note if has_sidecar(self.pod) else "the pod asked for no sidecar"
            facts = Facts(self._sandbox.place.address, self._its_commands.image_ids, note)
            await self._teller.publish(pod_status(self.pod, self._machine, facts, self._host.clock.now()))


def _is_sidecar(start: Start) -> bool:
    return start.container == podspec.SIDECAR
