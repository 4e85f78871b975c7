"""An interpreter with all that Python functions import: `python -m eventmesh.cluster.runtime.zygote FD LAUNCHER`.

It runs nothing and never sees an order. For each socket that comes over FD it forks a process, which waits there for an
order (`child.await_order`) and then is what `python FILE` or `python -m MODULE` would be. So what one function is given
is in no memory that another is forked from. Nor is anything of the mesh: this is a program with the variables that
every function has.

A fork is a child of the launcher like every process of a pod: it is forked twice, and orphans are the launcher's.
"""

from __future__ import annotations

import gc
import os
import runpy
import socket
import sys
from contextlib import suppress
from importlib import import_module
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Final

from eventmesh.base import linux
from eventmesh.cluster.runtime import child, wire

MODULES: Final = ("eventmesh.functions.app", "cloudevents.core.v1.event", "uvloop")
"""What is imported before any fork, and no other package is by these (`warm_start` goes by their names)."""

NAME: Final = "mesh-zygote"
"""What `ps` shows."""

_UNBORN: Final = "mesh-fork"
"""What it shows of a fork until that is there: there is one child of the launcher by the name above."""


class NotAloneError(Exception):
    """An import has started a thread, which no fork would have."""


def main() -> None:
    """Fork for whoever is at the other end of FD until that is closed; in a fork, be its program."""
    channel, launcher = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    channel.set_inheritable(False)
    linux.name_process(NAME)
    gc.disable()
    for module in MODULES:
        import_module(module)
    # Frozen objects are never visited by the collector, so their pages stay shared with the forks.
    gc.freeze()
    gc.enable()
    if len(os.listdir("/proc/self/task")) != 1:
        raise NotAloneError(f"one of {', '.join(MODULES)} starts a thread when it is imported")
    order = _serve(channel, launcher)
    if order is not None:
        # Closed already; by now the number may be that of a file or a connection of the program.
        channel.detach()
        _run(order)


def _serve(channel: socket.socket, launcher: int) -> wire.Spawn | None:
    """Return, in a fork, the order that has come for it; None when nobody wants a fork any more."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, wire.MAX_ZYGOTE_BYTES, 1)
        if not data:
            return None
        with socket.socket(fileno=descriptors[0]) as orders:
            orders.set_inheritable(False)
            # Where there are too many processes its end of the socket closes, and somebody asks again.
            with suppress(OSError):
                if _fork(launcher):
                    return child.await_order(orders)


def _fork(launcher: int) -> bool:
    """Return True in a new child of `launcher`, False here; raises OSError when there are too many processes."""
    said, say = os.pipe()
    try:
        middle = os.fork()
    except OSError:
        os.close(said)
        os.close(say)
        raise
    if middle == 0:
        _be_orphan(said, say, launcher)
        return True
    os.close(said)
    os.waitpid(middle, 0)
    with suppress(BrokenPipeError):
        # Who is left is the launcher's by now.
        os.write(say, b"1")
    os.close(say)
    return False


def _be_orphan(said: int, say: int, launcher: int) -> None:
    """Return in a child of this process, once this process has ended and the launcher has adopted the child."""
    try:
        linux.name_process(_UNBORN)
        if os.fork():
            os._exit(0)
        os.close(say)
        if not os.read(said, 1) or os.getppid() != launcher:
            os._exit(child.EXEC_FAILED)
        os.close(said)
    except OSError:
        os._exit(child.EXEC_FAILED)


def _run(order: wire.Spawn) -> None:
    """Do what this interpreter would have done with the words of `order` on its command line."""
    sys.orig_argv = list(order.argv)
    _, first, *rest = order.argv
    if first == "-m":
        module, *words = rest
        sys.path[0] = os.getcwd()
        sys.argv = [module, *words]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.realpath(first))
        sys.argv = [first, *rest]
        _run_script(os.path.abspath(first))


def _run_script(path: str) -> None:
    # `runpy.run_path` would be nearly it, but for what it makes of `__file__` and of threads that outlive the script.
    loader = SourceFileLoader("__main__", path)
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__file__, main.__loader__ = path, loader
    exec(loader.source_to_code(loader.get_data(path), path), vars(main))  # noqa: S102 - it is what was ordered


if __name__ == "__main__":
    main()
