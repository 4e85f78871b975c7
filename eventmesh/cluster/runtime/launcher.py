"""The process that forks every pod process: `python -m eventmesh.cluster.runtime.launcher FD [MODULE...]`.

It is small and has one thread, so a fork costs a fraction of a millisecond, where forking `eventmesh up` itself would
copy the page tables of a whole control component. Modules named on its command line are imported once and shared by
every sidecar that it forks. It also is the guard against leftovers: it ends everything it started when its owner
closes the socket, for whatever reason (kill -9 included), and each child dies with it.

Runtimes come and go: each is attached by the owner, and told what the one before it has left (`roster`).

It holds the pods' network namespaces as descriptors, so none outlives it.
"""

from __future__ import annotations

import errno
import gc
import os
import resource
import select
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from eventmesh.base import linux
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime import child, wire
from eventmesh.cluster.runtime.roster import Roster
from eventmesh.cluster.runtime.spares import RESTOCK_AFTER_S, Spares
from eventmesh.cluster.runtime.warm_forks import WarmFork, WarmForks


class Launcher:
    """Answers the runtime's messages; one object per process."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.channel: socket.socket | None = None
        """The runtime's end is behind it; None while there is no runtime."""
        self._selector = selector
        self._roster = Roster()
        self.starting: dict[int, _Starting] = {}
        self._networks: set[int] = set()
        self.spares = Spares()
        self.warm = WarmForks(selector)

    def attach(self, channel: socket.socket, preloaded: wire.Preloaded) -> None:
        """Serve the runtime at the other end of `channel`, and tell it first what others have left."""
        # What the one before has still said is done: a process of its last word is told with the others.
        while self.channel is not None and _is_readable(self.channel):
            self.hear()
        self.detach()
        # Their outcome belongs to nobody who asks any more: what runs is told with the others.
        for start in list(self.starting.values()):
            self.started(start)
        self.channel = channel
        self._selector.register(channel, selectors.EVENT_READ)
        self._say(preloaded)
        for message, descriptors in self._roster.tell():
            self._say(message, *descriptors)
        self._say(wire.Attached(tuple(sorted(self._networks))))

    def detach(self) -> None:
        """End what the runtime would have ended itself; the rest waits for the next one."""
        if self.channel is None:
            return
        self._selector.unregister(self.channel)
        self.channel.close()
        self.channel = None
        self.spares.let_go()
        for pid in self._roster.unlabelled:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def hear(self) -> None:
        """Take the next message of the runtime, or its end."""
        assert self.channel is not None  # noqa: S101 - it is readable
        data, descriptors = _receive(self.channel)
        if data:
            self._answer(data, descriptors)
        else:
            self.detach()

    def _answer(self, data: bytes, descriptors: list[int]) -> None:
        """Do what one message asks; `descriptors` are closed here when the child has them."""
        match wire.decode(data):
            case wire.Spawn() as order:
                try:
                    self._spawn(order, data, descriptors)
                except OSError as error:
                    self._refuse(order.request, error)
            case wire.Prepare(word, modules, groups):
                # Without it the order finds another process, which imports then.
                with suppress(OSError):
                    self.spares.prepare(word, modules, groups)
            case wire.MakeNetwork(request):
                try:
                    network = linux.new_network()
                    self._networks.add(network)
                    self._say(wire.Reply(request, network=network))
                except OSError as error:
                    self._refuse(request, error)
            case wire.OpenSocket(request, network):
                try:
                    self._open_socket(request, network)
                except OSError as error:
                    self._refuse(request, error)
            case wire.DropNetwork(network) if network in self._networks:
                self._networks.discard(network)
                os.close(network)
            case wire.Hold(name):
                self._roster.hold(name, descriptors)
                descriptors = []
            case wire.Signal(pid, number) if self._roster.runs(pid):
                # A child that is not reaped yet keeps its number, so this can never hit a stranger.
                with suppress(ProcessLookupError):
                    os.killpg(pid, number)
        for descriptor in descriptors:
            os.close(descriptor)

    def started(self, start: _Starting) -> None:
        """Tell how a program's start ended: its pipe has closed, at exec or with the reason why there was none."""
        del self.starting[start.pid]
        self._selector.unregister(start.failure)
        with os.fdopen(start.failure, "rb") as pipe:
            words = pipe.read().decode()
        if words:
            os.waitpid(start.pid, 0)
            for descriptor in start.kept:
                os.close(descriptor)
            number, _, text = words.partition(" ")
            self._refuse(start.request, OSError(int(number), text))
            return
        self._roster.add(start.pid, start.label, start.kept)
        if not self._say(wire.Reply(start.request, pid=start.pid)) and not start.label:
            # It was to end with its runtime, which went while it started.
            with suppress(ProcessLookupError):
                os.killpg(start.pid, signal.SIGKILL)

    def reap(self) -> None:
        """Collect every child that has ended and tell the runtime about those it knows."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            if pid in self.starting:
                self.started(self.starting[pid])
                if not self._roster.runs(pid):
                    continue
            if self._roster.runs(pid):
                # Before the leader is reaped: until then its number, and so the group's, belongs to nobody else.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            self.spares.lost(pid)
            self.warm.lost(pid)
            if self._roster.runs(pid):
                code = os.waitstatus_to_exitcode(status)
                self._roster.ended(pid, code, told=self._say(wire.Exited(pid, code)))

    def end_all(self) -> None:
        """Kill every process that was started here, and those that they started."""
        for pid in (*self._roster.running, *self.starting):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        # As the sub-reaper of its descendants the launcher inherits orphans that left their group.
        linux.end_children()

    @property
    def lacking(self) -> bool:
        """Whether `restock` has something to do."""
        return self.spares.lacking or self.warm.lacking

    def restock(self) -> None:
        """Fork one of each kind; called when nobody is in a hurry. Without any, orders are forked for one by one."""
        try:
            if self.spares.lacking:
                self.spares.add()
            if self.warm.lacking:
                self.warm.add()
        except OSError as error:
            sys.stderr.write(f"eventmesh: no spare process: {error.strerror}\n")

    def _open_socket(self, request: int, network: int) -> None:
        if network not in self._networks:
            raise OSError(errno.ENOENT, "its network namespace is gone")
        with linux.call_in_network(network, socket.socket) as made:
            self._say(wire.Reply(request), made.fileno())

    def _spawn(self, order: wire.Spawn, data: bytes, descriptors: list[int]) -> None:
        """Start. An entry runs from then on; the outcome of a program's exec is told when it is known.

        What is kept is taken out of `descriptors`, so that it stays open.
        """
        if order.network is not None and order.network not in self._networks:
            raise OSError(errno.ENOENT, "its network namespace is gone")
        network = () if order.network is None else (order.network,)
        mine = len(descriptors) - order.kept
        given, kept = descriptors[:mine], descriptors[mine:]
        if order.entry:
            pid = self._start(order, data, (*given, *network))
            del descriptors[mine:]
            self._roster.add(pid, order.label, kept)
            self._say(wire.Reply(order.request, pid=pid))
            return
        failure, report = os.pipe()
        try:
            pid = self._start(order, data, (*given, report, *network))
        except BaseException:
            os.close(failure)
            raise
        finally:
            os.close(report)
        del descriptors[mine:]
        start = self.starting[pid] = _Starting(order.request, pid, failure, order.label, kept)
        self._selector.register(failure, selectors.EVENT_READ, start)

    def _start(self, order: wire.Spawn, data: bytes, descriptors: Sequence[int]) -> int:
        """Return the number of the process that becomes what was ordered: a spare, or else a fork made now."""
        if order.warm and (pid := self.warm.give(data, descriptors)):
            return pid
        words = order.argv[:1] if order.entry else order.confinement.groups
        pid = self.spares.give(data, descriptors, words) or os.fork()
        if pid == 0:
            child.start(order, descriptors)
        return pid

    def _refuse(self, request: int, error: OSError) -> None:
        self._say(wire.Reply(request, error=error.strerror or str(error)))

    def _say(self, message: wire.Message, *descriptors: int) -> bool:
        """Return whether there is a runtime that was told."""
        if self.channel is None:
            return False
        try:
            socket.send_fds(self.channel, [wire.encode(message)], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True


@frozen
class _Starting:
    """A forked child on its way to exec."""

    request: int
    pid: int
    failure: int
    """The pipe that closes at exec; what comes before that is the reason why there was none."""
    label: str
    kept: Sequence[int]


def _is_readable(channel: socket.socket) -> bool:
    # Not select(2), which knows no descriptor above 1023: each pod has six here.
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    return bool(poll.poll(0))


def _preload(modules: list[str]) -> str:
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            return f"{module}: {error}"
    gc.collect()
    # Frozen objects are never visited by the collector, so their pages stay shared with the forked children.
    gc.freeze()
    return ""


def _run(owner: socket.socket, modules: list[str]) -> None:
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    preloaded = wire.Preloaded(_preload(modules))
    with selectors.DefaultSelector() as selector:
        launcher = Launcher(selector)
        selector.register(owner, selectors.EVENT_READ)
        selector.register(wake_read, selectors.EVENT_READ)
        while True:
            events = selector.select(RESTOCK_AFTER_S if launcher.lacking else None)
            if not events:
                launcher.restock()
            for key, _ in events:
                if isinstance(key.data, _Starting):
                    if key.data.pid in launcher.starting:
                        launcher.started(key.data)
                elif isinstance(key.data, WarmFork):
                    launcher.warm.heard(key.data)
                elif key.fileobj is owner:
                    data, descriptors = _receive(owner)
                    if not data:
                        launcher.end_all()
                        return
                    launcher.attach(socket.socket(fileno=descriptors[0]), preloaded)
                elif key.fileobj == wake_read:
                    os.read(wake_read, 4096)
                    launcher.reap()
                elif key.fileobj is launcher.channel:
                    launcher.hear()


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Return the next message; no bytes when the other end is gone, orderly or by kill -9."""
    try:
        data, descriptors, _, _ = socket.recv_fds(channel, wire.MAX_MESSAGE_BYTES, wire.MAX_DESCRIPTORS)
    except ConnectionResetError:
        # It died with replies of ours unread.
        return b"", []
    for descriptor in descriptors:
        # A program has them as its streams, and not once more under other numbers. (`recv_fds` ignores its flags.)
        os.set_inheritable(descriptor, False)
    return data, descriptors


def main() -> None:
    """Serve the runtimes that come over the socket whose number is the first argument, until it is closed."""
    owner = socket.socket(fileno=int(sys.argv[1]))
    owner.set_inheritable(False)
    # The watchdog waits for signals that it blocks.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    linux.name_process("eventmesh-launcher")
    # Each pod has six descriptors here: what its processes write to, its namespace, the socket of its readiness.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # The terminal's Ctrl-C belongs to the runtime, which stops the pods in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    linux.adopt_orphans()
    if os.geteuid() != 0:
        # Without user namespaces pods share the host's network; the runtime learns it from `MakeNetwork`.
        with suppress(OSError):
            linux.become_namespace_root()
    _run(owner, sys.argv[2:])


if __name__ == "__main__":
    main()
