"""What a process does that the launcher has forked: get ready, wait for its order if it is a spare, become what it is.

Nothing here runs in the launcher itself.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import sys
import termios
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final, NoReturn

from eventmesh.base import linux
from eventmesh.cluster.runtime import mounts, wire

EXEC_FAILED: Final = 127
"""What a shell answers for a command that cannot be run."""

SPARE_NAME: Final = "eventmesh-spare"

PROCESSES: Final = "cgroup.procs"
"""The file of a control group that takes the number of who joins it, 0 for whoever writes."""

_FILES: Final = resource.getrlimit(resource.RLIMIT_NOFILE)
"""As many descriptors as whoever started the launcher may have; the launcher itself takes more."""

_STREAMS: Final = (1, 2)
_STANDARD_INPUT: Final = 0
_STANDARD_ERROR: Final = 2
_FIRST_FREE: Final = 3


def wait(channel: socket.socket, modules: Sequence[str] = ()) -> NoReturn:
    """Be a spare: keep nothing of the launcher's but `channel`, import `modules`, become what comes over `channel`."""
    try:
        _prepare()
        number = channel.fileno()
        os.closerange(3, number)
        os.closerange(number + 1, _highest_descriptor() + 1)
        # Who looks for spares finds one that has let go of everything.
        linux.name_process(SPARE_NAME)
        # What cannot be imported fails where it is needed, with more to say.
        with suppress(ImportError):
            for module in modules:
                import_module(module)
        data, descriptors, _, _ = socket.recv_fds(channel, wire.MAX_MESSAGE_BYTES, wire.MAX_CHILD_DESCRIPTORS)
        channel.close()
        if data:
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            order = wire.decode(data)
            assert isinstance(order, wire.Spawn)  # noqa: S101 - the launcher sends nothing else
            _become(order, descriptors)
    finally:
        os._exit(EXEC_FAILED)


def start(order: wire.Spawn, descriptors: Sequence[int]) -> NoReturn:
    """Be no spare: become what is ordered at once."""
    try:
        _prepare()
        _become(order, descriptors)
    finally:
        os._exit(EXEC_FAILED)


def _prepare() -> None:
    """Do what is alike for every child: its own session, its own signals, its end with the launcher's."""
    linux.die_with_parent()
    resource.setrlimit(resource.RLIMIT_NOFILE, _FILES)
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _become(order: wire.Spawn, descriptors: Sequence[int]) -> NoReturn:
    """Turn this prepared process into what was ordered.

    `descriptors` are standard output, standard error, standard input if it has one, listening sockets, for a program
    the pipe that takes the reason why it cannot be executed, and the network namespace if the order names one.
    """
    numbers = (*_STREAMS, _STANDARD_INPUT) if order.has_input else _STREAMS
    streams, rest = descriptors[: len(numbers)], list(descriptors[len(numbers) :])
    sockets, rest = rest[: order.sockets], rest[order.sockets :]
    # An entry cannot fail to be executed, so nobody waits for a report of it.
    report = _STANDARD_ERROR if order.entry else rest.pop(0)
    try:
        for stream, descriptor in zip(numbers, streams, strict=True):
            os.dup2(descriptor, stream)
        if order.on_terminal:
            fcntl.ioctl(_STANDARD_ERROR, termios.TIOCSCTTY, 0)
        if order.network is not None:
            linux.enter_namespace(rest[0], linux.CLONE_NEWNET)
        # While the machine's own files are in sight.
        _join(order.confinement.groups)
        mounts.arrange(order.confinement)
        os.chdir(order.workdir)
        if order.entry:
            # As in every Python process: what is written to a connection that has ended is an error, not the end.
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            _keep(sockets)
            os._exit(_call(order))
        _confine(order.confinement)
        os.execvpe(order.argv[0], order.argv, order.env)  # noqa: S606 - no shell is wanted
    except OSError as error:
        what = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
        os.write(report, f"{error.errno} {what}".encode())
    finally:
        os._exit(EXEC_FAILED)


def _join(groups: Sequence[str]) -> None:
    """Belong to these control groups from now on, and every child too."""
    for group in groups:
        with open(f"{group}/{PROCESSES}", "w", encoding="ascii") as file:
            file.write("0")


def _keep(sockets: Sequence[int]) -> None:
    """Keep the streams and, from the first free number on, `sockets`; close everything else."""
    above = _FIRST_FREE + len(sockets)
    # Out of the way first: a socket may have the number that another is to get.
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, above) for descriptor in sockets]
    for number, descriptor in enumerate(moved, _FIRST_FREE):
        os.dup2(descriptor, number, inheritable=False)
    os.closerange(above, _highest_descriptor() + 1)


def _confine(confinement: wire.Confinement) -> None:
    """Give up what the program to be executed is not to have; last, since nothing can be done without it afterwards."""
    if confinement.no_capabilities:
        linux.give_up_capabilities()
    if confinement.group is not None:
        os.setgroups([confinement.group])
        os.setgid(confinement.group)
    if confinement.user is not None:
        os.setuid(confinement.user)
        # A change of user forgets this.
        linux.die_with_parent()
    if confinement.no_new_privileges:
        linux.gain_no_privileges()


def _call(order: wire.Spawn) -> int:
    """Call the entry as a program's `main`; return its exit code."""
    linux.name_process(f"eventmesh-{order.argv[0]}" if order.argv else order.entry)
    os.environ.clear()
    os.environ.update(order.env)
    if order.sockets:
        os.environ.update(LISTEN_FDS=str(order.sockets), LISTEN_PID=str(os.getpid()))
    module, _, function = order.entry.partition(":")
    sys.argv = list(order.argv)
    try:
        code = getattr(import_module(module), function)(list(order.argv))
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # the end of this process: there is nobody above to raise to
        traceback.print_exc()
        code = 1
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code or 0


def _highest_descriptor() -> int:
    return max(int(name) for name in os.listdir("/proc/self/fd"))
