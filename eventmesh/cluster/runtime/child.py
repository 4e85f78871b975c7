"""What a process does that the launcher has forked: get ready, wait for its order if it is a spare, become what it is.

Nothing here runs in the launcher itself.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import socket
import sys
import termios
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final, NoReturn

from eventmesh.base import linux
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime import mounts, wire

EXEC_FAILED: Final = 127
"""What a shell answers for a command that cannot be run."""

SPARE_NAME: Final = "eventmesh-spare"
WARM_NAME: Final = "eventmesh-warm"
"""What `ps` shows of those that wait for an order."""

PROCESSES: Final = "cgroup.procs"
"""The file of a control group that takes the number of who joins it, 0 for whoever writes."""

_FILES: Final = resource.getrlimit(resource.RLIMIT_NOFILE)
"""As many descriptors as whoever started the launcher may have; the launcher itself takes more."""

_STREAMS: Final = (1, 2)
_STANDARD_INPUT: Final = 0
_STANDARD_ERROR: Final = 2
_FIRST_FREE: Final = 3


def wait(channel: socket.socket, modules: Sequence[str] = (), groups: Sequence[str] = ()) -> NoReturn:
    """Be a spare: keep nothing of the launcher's but `channel`, join `groups`, import `modules`, become what comes over
    `channel`."""
    try:
        _prepare()
        _let_go(channel)
        joined = _joined(groups)
        # Who looks for spares finds one that has let go of everything.
        linux.name_process(SPARE_NAME)
        # What cannot be imported fails where it is needed, with more to say.
        with suppress(ImportError):
            for module in modules:
                import_module(module)
        _become(*_take_order(channel), joined)
    finally:
        os._exit(EXEC_FAILED)


def await_order(channel: socket.socket) -> wire.Spawn:
    """Be a fork of an interpreter that others are forked from too: say over `channel` that it is there, return the
    order that comes, once this process has all that an executed program would have, and nothing else.

    It ends, as one that cannot be executed does, when the launcher is gone or the order cannot be carried out.
    """
    try:
        _prepare()
        _let_go(channel)
        channel.send(str(os.getpid()).encode())
        # Who looks for forks finds one that the launcher knows of.
        linux.name_process(WARM_NAME)
        order, descriptors = _take_order(channel)
    except BaseException:  # nobody has asked anything of it yet
        os._exit(EXEC_FAILED)
    given = _sort(order, descriptors)
    try:
        _settle(order, given)
        _confine(order.confinement)
        _do_as_exec_does(order)
    except OSError as error:
        _report(given.report, error)
        os._exit(EXEC_FAILED)
    # The end of the report says that it runs.
    os.closerange(_FIRST_FREE, _highest_descriptor() + 1)
    return order


def start(order: wire.Spawn, descriptors: Sequence[int]) -> NoReturn:
    """Be no spare: become what is ordered at once."""
    try:
        _prepare()
        _become(order, descriptors)
    finally:
        os._exit(EXEC_FAILED)


def _let_go(channel: socket.socket) -> None:
    """Close everything but the streams and `channel`."""
    number = channel.fileno()
    os.closerange(_FIRST_FREE, number)
    os.closerange(number + 1, _highest_descriptor() + 1)


def _take_order(channel: socket.socket) -> tuple[wire.Spawn, list[int]]:
    """Return what comes over `channel`, with its descriptors; end this process when nothing comes any more."""
    data, descriptors, _, _ = socket.recv_fds(channel, wire.MAX_MESSAGE_BYTES, wire.MAX_CHILD_DESCRIPTORS)
    channel.close()
    if not data:
        os._exit(EXEC_FAILED)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    order = wire.decode(data)
    assert isinstance(order, wire.Spawn)  # noqa: S101 - the launcher sends nothing else
    return order, descriptors


def _prepare() -> None:
    """Do what is alike for every child: its own session, its own signals, its end with the launcher's."""
    linux.die_with_parent()
    resource.setrlimit(resource.RLIMIT_NOFILE, _FILES)
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


@frozen
class _Given:
    """The descriptors that come with an order."""

    streams: Mapping[int, int]
    """By the number that each is to have."""
    sockets: Sequence[int]
    report: int
    """Takes the reason why a program cannot be executed; closed when it is."""
    network: int | None


def _sort(order: wire.Spawn, descriptors: Sequence[int]) -> _Given:
    """Tell `descriptors` apart: standard output, standard error, standard input if it has one, listening sockets, for a
    program the pipe that takes the reason why it cannot be executed, and the network namespace if the order names one.
    """
    numbers = (*_STREAMS, _STANDARD_INPUT) if order.has_input else _STREAMS
    rest = list(descriptors[len(numbers) :])
    sockets, rest = rest[: order.sockets], rest[order.sockets :]
    # An entry cannot fail to be executed, so nobody waits for a report of it.
    report = _STANDARD_ERROR if order.entry else rest.pop(0)
    streams = dict(zip(numbers, descriptors, strict=False))
    return _Given(streams, sockets, report, None if order.network is None else rest[0])


def _become(order: wire.Spawn, descriptors: Sequence[int], joined: Sequence[str] = ()) -> NoReturn:
    """Turn this prepared process, which has `joined` groups, into what was ordered; `descriptors` as `_sort` says."""
    given = _sort(order, descriptors)
    try:
        _settle(order, given, joined)
        if order.entry:
            _ignore_lost_readers()
            _keep(given.sockets)
            os._exit(_call(order))
        _confine(order.confinement)
        os.execvpe(order.argv[0], order.argv, order.env)  # noqa: S606 - no shell is wanted
    except OSError as error:
        _report(given.report, error)
    finally:
        os._exit(EXEC_FAILED)


def _settle(order: wire.Spawn, given: _Given, joined: Sequence[str] = ()) -> None:
    """Be where the order wants its process: its streams, its network, its view of the files, its control groups, of
    which it has `joined` some before."""
    for stream, descriptor in given.streams.items():
        os.dup2(descriptor, stream)
    if order.on_terminal:
        fcntl.ioctl(_STANDARD_ERROR, termios.TIOCSCTTY, 0)
    if given.network is not None:
        linux.enter_namespace(given.network, linux.CLONE_NEWNET)
    # While the machine's own files are in sight.
    _join([group for group in order.confinement.groups if group not in joined])
    mounts.arrange(order.confinement)
    os.chdir(order.workdir)


def _report(to: int, error: OSError) -> None:
    what = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    os.write(to, f"{error.errno} {what}".encode())


def _ignore_lost_readers() -> None:
    """Do as every Python process: what is written to a connection that has ended is an error, not the end."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def _join(groups: Sequence[str]) -> None:
    """Belong to these control groups from now on, and every child too."""
    for group in groups:
        with open(f"{group}/{PROCESSES}", "w", encoding="ascii") as file:
            file.write("0")


def _joined(groups: Sequence[str]) -> Sequence[str]:
    """Join `groups` ahead of any order, and return them; none if they cannot be joined: the order's process says so."""
    try:
        _join(groups)
    except OSError:
        return ()
    return groups


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


def _do_as_exec_does(order: wire.Spawn) -> None:
    """Do in this interpreter what executing a program, and starting one of these, would have done."""
    if order.confinement.no_capabilities:
        # The bounding set, which is all that was given up until here, holds from an exec on.
        linux.drop_capabilities()
    # A change of user hides /proc/self from its own process, until an exec.
    linux.be_inspectable()
    if not os.access(order.argv[0], os.X_OK, effective_ids=True):
        # Its user could not have started this interpreter, and cannot read what it would import.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), order.argv[0])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _ignore_lost_readers()
    linux.name_process(os.path.basename(order.argv[0]))
    os.environ.clear()
    os.environ.update(order.env)
    time.tzset()


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
