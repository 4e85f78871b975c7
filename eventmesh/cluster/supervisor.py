"""Keeps the data-plane processes of the mesh itself (gateway, activator) running: log files, restarts, orderly ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import MeshError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.runtime.logs import ContainerLog
from eventmesh.cluster.runtime.process import Command, Keep, Process, ProcessLauncher, Survivor
from eventmesh.cluster.runtime.restarts import RestartBackOff

_log = log.get("cluster.supervisor")

FIRST_RESTART_S: Final = 0.1
RESTART_CAP_S: Final = 10.0
"""A gateway that cannot start is tried six times a minute: often enough to find a port that was freed."""

STEADY_S: Final = 30.0
"""A process that ran this long is restarted without waiting, whatever happened before."""

STOP_GRACE_S: Final = 3.0
"""Requests in flight get so long when the mesh stops."""

_TAIL_BYTES: Final = 500


class Supervised:
    """One process of the mesh, started again whenever it ends."""

    def __init__(
        self,
        name: str,
        command: Command,
        launcher: ProcessLauncher,
        log_directory: Path,
        clock: Clock,
        sockets: Sequence[socket.socket] = (),
        left: Survivor | None = None,
    ) -> None:
        """`sockets` listen for the process, whether it runs or not; they stay the caller's to close. `left` is the
        process of an earlier mesh."""
        self.name = name
        self.restarts = 0
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Resolves with its last words when a process that was started here ends for the first time by itself: one that
        was left has served before, and one that others killed has not been heard."""
        self._command = command
        self._launcher = launcher
        self._clock = clock
        self._sockets = [one.fileno() for one in sockets]
        self._output = ContainerLog(log_directory / name, clock)
        self._process: Process | None = None
        self._left = left
        self._stopping = False
        self._tasks = TaskGroup(f"supervisor.{name}")

    @property
    def pid(self) -> int:
        """Return the process number, 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Start the process, or adopt the one that was left; return when it runs, which is not yet when it serves.

        Raises SpawnError.
        """
        if self._left is None:
            await self._spawn()
        else:
            self._process = self._left.process
            self._output.resume_run(self._left.descriptors)
        self._tasks.spawn("watch", self._watch())

    async def stop(self) -> None:
        """End the process: SIGTERM, a grace, SIGKILL."""
        self._stopping = True
        process = self._process
        if process is not None and not process.exited.done():
            await self._launcher.signal(process, signal.SIGTERM)
            await asyncio.wait((process.exited,), timeout=STOP_GRACE_S)
            await self._launcher.signal(process, signal.SIGKILL)
        await self._tasks.stop()

    async def _spawn(self) -> None:
        run = self._output.open_run()
        stdout, stderr = run.pipe("stdout"), run.pipe("stderr")
        keep = Keep(self.name, run.readers)
        try:
            self._process = await self._launcher.spawn(self._command, stdout, stderr, None, self._sockets, keep=keep)
        finally:
            os.close(stdout)
            os.close(stderr)

    async def _watch(self) -> None:
        back_off = RestartBackOff(FIRST_RESTART_S, RESTART_CAP_S)
        adopted = self._left is not None
        while True:
            began = self._clock.monotonic()
            if self._process is not None:
                status = await self._process.exited
                if self._stopping:
                    return
                killed = status == -signal.SIGKILL
                ran_s = self._clock.monotonic() - began
                wait_s = back_off.wait_s_after(ran_s, steady=ran_s >= STEADY_S, killed=killed)
                words = self._output.tail(_TAIL_BYTES).rpartition("\n")[2]
                _log.error("process ended", name=self.name, code=status, restart_in_s=wait_s, last_words=words)
                if not (adopted or killed or self.failed.done()):
                    self.failed.set_result(words)
                await self._clock.sleep(wait_s)
                self.restarts += 1
            adopted = False
            try:
                await self._spawn()
            except MeshError as error:
                self._process = None
                _log.error("process cannot be started", name=self.name, reason=error)
                await self._clock.sleep(RESTART_CAP_S)
