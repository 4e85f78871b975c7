"""Does what `lifecycle` of a pod's containers says, after they have started and before they are told to stop."""

from __future__ import annotations

import signal

from eventmesh.base.clock import Clock
from eventmesh.cluster.runtime import podspec
from eventmesh.cluster.runtime.hooks import MAX_POST_START_S, POST_START, PRE_STOP, Ask, Hook, parse_hook, run_hook
from eventmesh.cluster.runtime.orders import Tell
from eventmesh.cluster.runtime.process import Process, ProcessLauncher
from eventmesh.cluster.runtime.teller import PodTeller


class PodLifecycle:
    """The hooks of one pod."""

    def __init__(self, teller: PodTeller, launcher: ProcessLauncher, clock: Clock, ask: Ask) -> None:
        self._teller = teller
        self._launcher = launcher
        self._clock = clock
        self._ask = ask

    def hook(self, container: str, kind: str) -> Hook | None:
        """Return the container's hook of that kind; None: it has none."""
        if container == podspec.SIDECAR:
            return None
        pod = self._teller.pod
        return parse_hook(podspec.container(pod, container), kind, podspec.user_port(pod).number)

    async def before_stop(self, hook: Hook, container: str, process: Process) -> None:
        """Do the container's hook, then tell it to stop; the machine kills it in time whatever the hook does."""
        await self._run(hook, container, podspec.grace_s(self._teller.pod), PRE_STOP)
        await self._launcher.signal(process, signal.SIGTERM)

    async def after_start(self, hook: Hook, container: str, process: Process) -> None:
        """Do the container's hook; one that fails ends the container, as with the kubelet."""
        if not await self._run(hook, container, MAX_POST_START_S, POST_START):
            await self._launcher.signal(process, signal.SIGTERM)

    async def _run(self, hook: Hook, container: str, timeout_s: float, kind: str) -> bool:
        outcome = await run_hook(hook, container, self._ask, self._clock, timeout_s)
        if not outcome.success:
            word = kind[0].upper() + kind[1:]
            await self._teller.record(Tell(f"Failed{word}Hook", f"{word}Hook failed: {outcome.output}"))
        return outcome.success
