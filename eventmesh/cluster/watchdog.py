"""The process that `eventmesh up` is: it starts the launcher and the mesh, and each again when it is killed.

It opens no socket that a client reaches and reads nothing that anybody writes: there is little that could end it. What
the mesh imports it imports once, and forks each mesh from that: most of a start is imports, so the next one is there
within fractions of a second, and shares their memory.

When it is killed all the same, everything ends with it: the launcher ends its processes when its owner is gone, the
mesh has asked the kernel for it.

A mesh that dies leaves the launcher alone, so pods, gateway and activator go on; the next mesh adopts them. When the
launcher dies, its processes die with it, and both are started anew.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from time import monotonic
from types import MappingProxyType
from typing import Final

from eventmesh.base import linux
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime import wire
from eventmesh.cluster.runtime.launcher_process import SIDECAR_MODULES, LauncherProcess
from eventmesh.cluster.runtime.restarts import RestartBackOff

FIRST_RESTART_S: Final = 0.5
RESTART_CAP_S: Final = 10.0
"""A mesh that ends before it was ready (no disk, a port that somebody took) is tried six times a minute, while pods go
on. One that was ready is started again at once: a start takes long enough to be its own pause."""

MESH_NAME: Final = "eventmesh-mesh"
"""What `ps` shows of the mesh; the watchdog is the command that was called."""

_SIGNALS: Final = (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM)


@frozen
class Cradle:
    """What a mesh process is started with."""

    channel: socket.socket
    """To the launcher."""
    launcher_pid: int
    again: bool
    """Whether a mesh before this one was ready: its addresses are known to others."""
    inherits: bool
    """Whether the launcher has served that mesh, and processes of it may be left."""
    ready_descriptor: int
    began: float
    """When its start was begun, on the monotonic clock."""

    def ready(self) -> None:
        """Say that everything serves."""
        os.write(self.ready_descriptor, b"1")
        os.close(self.ready_descriptor)


def watch(
    mesh: Callable[[Cradle], int],
    modules: Sequence[str] = (),
    preload: Sequence[str] = SIDECAR_MODULES,
    prepared: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> int:
    """Run `mesh` in a forked process, again whenever it is killed, until it ends by itself or somebody asks for it.

    Return the exit code. In the forked process this returns, or raises, what `mesh` does.

    `modules` are imported before the first fork, `preload` by the launcher beside that, and `prepared` by a process of
    its own for the entry whose first word is the key.
    """
    linux.adopt_orphans()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    dog = _Watchdog(mesh, modules, preload, prepared)
    code = dog.run()
    if dog.is_mesh:
        return code
    dog.end()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    return code


class _Watchdog:
    def __init__(
        self,
        mesh: Callable[[Cradle], int],
        modules: Sequence[str],
        preload: Sequence[str],
        prepared: Mapping[str, Sequence[str]],
    ) -> None:
        self._began = monotonic()
        self._call = mesh
        self._modules = modules
        self._preload = preload
        self._prepared = prepared
        self._launcher = LauncherProcess.start(self._preload)
        self._launcher_runs = True
        self._served = False
        """Whether a mesh has begun with this launcher."""
        self._mesh_pid = 0
        self._told_ready = -1
        self._was_ready = False
        self._back_off = RestartBackOff(FIRST_RESTART_S, RESTART_CAP_S)
        self._forked = 0.0
        """When the present mesh began, on the monotonic clock."""
        self._start_at: float | None = None
        self._asked = False
        self.is_mesh = False
        """True in the forked process."""

    def run(self) -> int:
        """Return how the mesh has ended for good; in the forked process what it returns."""
        code = self._start()
        while not self.is_mesh:
            wait_s = None if self._start_at is None else max(0.0, self._start_at - monotonic())
            got = signal.sigwaitinfo(_SIGNALS) if wait_s is None else signal.sigtimedwait(_SIGNALS, wait_s)
            if got is not None and got.si_signo != signal.SIGCHLD:
                self._ask()
            ended = self._reap()
            if ended is not None and (self._asked or not self._goes_on(ended)):
                return ended if ended >= 0 else 128 - ended
            if self._asked and not self._mesh_pid:
                return 0
            if self._start_at is not None and monotonic() >= self._start_at:
                code = self._start()
        return code

    def end(self) -> None:
        """Leave nothing running."""
        self._launcher.close()
        self._launcher.wait()
        linux.end_children()

    def _start(self) -> int:
        self._start_at = None
        began = monotonic() if self._served else self._began
        channel = self._attach()
        if not self._served:
            for word, modules in self._prepared.items():
                channel.send(wire.encode(wire.Prepare(word, tuple(modules))))
        self._import()
        self._told_ready, ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.is_mesh = True
            linux.die_with_parent()
            linux.name_process(MESH_NAME)
            os.close(self._told_ready)
            self._launcher.disown()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            return self._call(Cradle(channel, self._launcher.pid, self._was_ready, self._served, ready, began))
        channel.close()
        os.close(ready)
        self._served = True
        self._mesh_pid, self._forked = pid, monotonic()
        return 0

    def _attach(self) -> socket.socket:
        """Return the next mesh's end to the launcher, which is started anew when it has ended."""
        if self._launcher_runs:
            # One that has ended after the mesh may not have been reaped yet.
            with suppress(OSError):
                return self._launcher.attach()
        self._launcher.close()
        # What its processes had started in sessions of their own has become ours.
        linux.end_children()
        self._launcher = LauncherProcess.start(self._preload)
        self._launcher_runs, self._served = True, False
        return self._launcher.attach()

    def _import(self) -> None:
        """Import what every mesh needs, the first time."""
        for name in self._modules:
            import_module(name)
        self._modules = ()
        # Frozen objects are never visited by the collector, so their pages stay shared with the forks.
        gc.freeze()

    def _ask(self) -> None:
        """Have the mesh stop in order."""
        self._asked = True
        if self._mesh_pid:
            os.kill(self._mesh_pid, signal.SIGTERM)

    def _reap(self) -> int | None:
        """Collect all who have ended; return how the mesh has, if it is among them."""
        code = None
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = found
                if pid == self._mesh_pid:
                    code = os.waitstatus_to_exitcode(status)
                    self._mesh_pid = 0
                elif pid == self._launcher.pid:
                    self._launcher_runs = False
                    if self._mesh_pid and not self._asked:
                        # Every pod is gone with it: to begin anew is quicker than to end in order, and loses as little.
                        os.kill(self._mesh_pid, signal.SIGKILL)
        return code

    def _goes_on(self, code: int) -> bool:
        """Return whether a mesh that has ended with `code` is started again, and see to it."""
        with os.fdopen(self._told_ready, "rb") as pipe:
            ready = bool(pipe.read(1))
        self._was_ready = self._was_ready or ready
        if code == 0 or not self._was_ready:
            return False
        wait_s = self._back_off.wait_s_after(monotonic() - self._forked, steady=ready, killed=code == -signal.SIGKILL)
        self._start_at = monotonic() + wait_s
        what = "the mesh process" if self._launcher_runs else "the launcher, and every pod with it,"
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        _say(f"{what} {how}; started again" + (f" in {wait_s:.1f} s" if wait_s else ""))
        return True


def _say(line: str) -> None:
    sys.stderr.write(f"eventmesh: {line}\n")
    sys.stderr.flush()
