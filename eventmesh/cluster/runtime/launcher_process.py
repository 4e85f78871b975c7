"""The launcher as the process that has started it holds it. Cheap to import: the watchdog does, and stays small."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import eventmesh
from eventmesh.cluster.runtime import wire

PRODUCT_PATH: Final = str(Path(eventmesh.__file__).resolve().parent.parent)
"""Where this very eventmesh is imported from, so that children run the same one."""

SIDECAR_MODULES: Final = ("eventmesh.cli.main", "eventmesh.cli.sidecar", "eventmesh.sidecar.preload")
"""What a launcher imports once for every sidecar, gateway and activator that it forks."""

ACTIVATOR_MODULES: Final = ("eventmesh.cli.activator", "eventmesh.activator.app")
"""What the activator imports beyond that: a quarter of a second that passes beside the start of everything else."""


class LauncherProcess:
    """A launcher. It ends, and every process it has started, when its owner closes this or ends, kill -9 included."""

    def __init__(self, child: subprocess.Popen[bytes], owner: socket.socket) -> None:
        self._child = child
        self._owner = owner

    @classmethod
    def start(cls, preload: Sequence[str] = ()) -> LauncherProcess:
        """Start one; it imports `preload` before it answers anybody."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            child = subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
                [sys.executable, "-m", "eventmesh.cluster.runtime.launcher", str(theirs.fileno()), *preload],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": product_pythonpath(os.environ)},
            )
        return cls(child, ours)

    @property
    def pid(self) -> int:
        """Return its process number."""
        return self._child.pid

    def attach(self) -> socket.socket:
        """Return the end of a runtime, which takes the place of the runtime before; raises OSError when it is gone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._owner, [wire.encode(wire.Attach())], [theirs.fileno()])
        return ours

    def disown(self) -> None:
        """Forget it, in a forked copy of its owner: it is not to live on because the copy does."""
        self._owner.close()
        # Else its object would complain, when it is collected, that somebody still runs.
        self._child.returncode = 0

    def close(self) -> None:
        """Have it end everything, and itself."""
        self._owner.close()

    def wait(self) -> int:
        """Return how it has ended, once it has."""
        return self._child.wait()


def product_pythonpath(env: Mapping[str, str]) -> str:
    """Return a PYTHONPATH under which children import this very eventmesh."""
    rest = [part for part in env.get("PYTHONPATH", "").split(os.pathsep) if part and part != PRODUCT_PATH]
    return os.pathsep.join([PRODUCT_PATH, *rest])
