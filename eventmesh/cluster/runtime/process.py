"""Processes of pods as the runtime sees them: started, signalled and awaited through the launcher.

When the launcher is lost, every pod process has died with it; when this process is, those with a label live on, and the
launcher tells the next runtime of them.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from eventmesh.base import log
from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime import wire
from eventmesh.cluster.runtime.launcher_process import LauncherProcess

_log = log.get("runtime.process")

UNCONFINED: Final = wire.Confinement()
"""The runtime's own view of the files, its user and its privileges."""


class SpawnError(MeshError):
    """A process could not be started; the message is the kernel's reason with the file it is about."""


@frozen
class Command:
    """What to run and in which surroundings."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    workdir: str = "/"
    entry: str = ""
    """`module:function` called with `argv` inside the forked launcher, which has it imported already."""
    confinement: wire.Confinement = UNCONFINED
    warm: bool = False
    """Whether a fork of a prepared interpreter may do it."""


@frozen
class Network:
    """A network namespace that lives in the launcher."""

    number: int
    path: str
    """A file that names it for as long as it is not dropped: `/proc/<launcher>/fd/<number>`."""


@dataclass(slots=True)
class Process:
    """A started process. `exited` resolves to its exit code, or minus the signal that ended it."""

    pid: int
    exited: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@frozen
class Keep:
    """What outlives this runtime of a process that it starts."""

    label: str
    """Told to the next runtime."""
    descriptors: tuple[int, ...] = ()
    """Given to it: at most `wire.MAX_KEPT`; they stay the caller's to close."""


@frozen
class Survivor:
    """A process that an earlier runtime has started; `exited` is resolved when it has ended meanwhile."""

    process: Process
    label: str
    descriptors: tuple[int, ...]
    """What was kept with it; the caller's to close."""


@frozen
class Legacy:
    """All that earlier runtimes have left."""

    survivors: tuple[Survivor, ...] = ()
    networks: tuple[Network, ...] = ()
    sockets: Mapping[str, tuple[socket.socket, ...]] = field(default_factory=dict)
    """What they had held, by the name that they gave it."""


class ProcessLauncher:
    """The runtime's end of the launcher process."""

    def __init__(
        self,
        channel: socket.socket,
        pid: int,
        on_lost: Callable[[], None] = lambda: None,
        owned: LauncherProcess | None = None,
    ) -> None:
        """`channel` is what `LauncherProcess.attach` has returned, `pid` the launcher's number. An `owned` launcher
        ends with `stop`, any other when its owner says so."""
        channel.setblocking(False)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * wire.MAX_MESSAGE_BYTES)
        self.pid = pid
        self._owned = owned
        self._channel = channel
        self.on_lost = on_lost
        """Called when the launcher ends without having been stopped."""
        self._survivors: list[Survivor] = []
        self._held: dict[str, tuple[socket.socket, ...]] = {}
        self._loop = asyncio.get_running_loop()
        self._requests = 0
        self._replies: dict[int, asyncio.Future[wire.Reply]] = {}
        self._processes: dict[int, Process] = {}
        self._sockets: dict[int, socket.socket] = {}
        self._legacy: asyncio.Future[Legacy] = self._loop.create_future()
        self._writable = asyncio.Lock()
        self._loop.add_reader(channel.fileno(), self._received)

    @classmethod
    def start(cls, preload: Sequence[str] = (), on_lost: Callable[[], None] = lambda: None) -> ProcessLauncher:
        """Start the launcher; it imports `preload` before it answers. `on_lost` is called if it ends unasked."""
        owned = LauncherProcess.start(preload)
        return cls(owned.attach(), owned.pid, on_lost, owned)

    async def legacy(self) -> Legacy:
        """Return what earlier runtimes have left; call it once. Raises UnavailableError when the launcher is gone."""
        return await asyncio.shield(self._legacy)

    async def hold(self, name: str, sockets: Sequence[socket.socket]) -> None:
        """Keep listening at `sockets` for the next runtime when this one ends, and give it them under `name`."""
        await self._send(wire.Hold(name), [each.fileno() for each in sockets])

    async def prepare(self, word: str, modules: Sequence[str]) -> None:
        """Have a process import `modules` now for the entry command whose first word is `word`, to come later."""
        await self._send(wire.Prepare(word, tuple(modules)))

    async def prepare_in(self, groups: Sequence[str]) -> None:
        """Have a process wait in the control groups for a program that is to belong to any of them; it ends with this
        runtime when there is none. Raises UnavailableError when the launcher is gone."""
        await self._send(wire.Prepare(groups[0], (), tuple(groups)))

    async def make_network(self) -> Network:
        """Return a new network namespace with only a loopback.

        Raises UnavailableError where the host allows none to this user: pods then share the host's network.
        """
        self._requests += 1
        reply = await self._ask(wire.MakeNetwork(self._requests))
        if reply.error:
            raise UnavailableError(f"this host allows no network namespaces to this user: {reply.error}")
        return self.network(reply.network)

    def network(self, number: int) -> Network:
        """Return a namespace that the launcher has under this number."""
        return Network(number, f"/proc/{self.pid}/fd/{number}")

    async def open_socket(self, network: Network) -> socket.socket:
        """Return a TCP socket that lives in `network`, not connected; raises UnavailableError when that is gone."""
        self._requests += 1
        request = self._requests
        try:
            reply = await self._ask(wire.OpenSocket(request, network.number))
            if reply.error:
                raise UnavailableError(f"no socket in the pod's network: {reply.error}")
            opened = self._sockets.pop(request)
        finally:
            # Still there when the caller was cancelled between the reply and its own next turn.
            if request in self._sockets:
                self._sockets.pop(request).close()
        opened.setblocking(False)
        return opened

    async def drop_network(self, network: Network) -> None:
        """Forget a namespace; it ends with the last process inside."""
        await self._send(wire.DropNetwork(network.number))

    async def spawn(
        self,
        command: Command,
        stdout: int,
        stderr: int,
        network: Network | None,
        sockets: Sequence[int] = (),
        *,
        stdin: int | None = None,
        on_terminal: bool = False,
        keep: Keep | None = None,
    ) -> Process:
        """Start `command` in a session of its own; the descriptors stay the caller's to close. An entry finds the
        listening `sockets` as sd_listen_fds(3) says. With `on_terminal` the streams are a terminal, which becomes the
        one that controls it. Without `keep` the process ends with this runtime.

        Raises SpawnError when the kernel or the size of the environment forbids it.
        """
        self._requests += 1
        order = wire.Spawn(
            self._requests,
            command.argv,
            dict(command.env),
            command.workdir,
            network.number if network else None,
            command.entry,
            command.confinement,
            len(sockets),
            stdin is not None,
            on_terminal,
            keep.label if keep else "",
            len(keep.descriptors) if keep else 0,
            command.warm,
        )
        streams = [stdout, stderr] if stdin is None else [stdout, stderr, stdin]
        reply = await self._ask(order, [*streams, *sockets, *(keep.descriptors if keep else ())])
        if reply.error:
            raise SpawnError(f"cannot start {command.argv[0]!r}: {reply.error}")
        return self._processes[reply.pid]

    async def signal(self, process: Process, number: int) -> None:
        """Send `number` to the process and everything in its group; nothing happens when it has ended."""
        await self._send(wire.Signal(process.pid, number))

    async def stop(self) -> None:
        """Leave the launcher; one of its own ends with every process that is left, before this returns."""
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
        if self._owned is not None:
            self._owned.close()
            await self._loop.run_in_executor(None, self._owned.wait)
        self._abandon()

    async def _ask(
        self, message: wire.Spawn | wire.MakeNetwork | wire.OpenSocket, descriptors: Sequence[int] = ()
    ) -> wire.Reply:
        reply: asyncio.Future[wire.Reply] = self._loop.create_future()
        self._replies[message.request] = reply
        try:
            await self._send(message, descriptors)
            return await reply
        finally:
            self._replies.pop(message.request, None)

    async def _send(self, message: wire.Message, descriptors: Sequence[int] = ()) -> None:
        data = wire.encode(message)
        if len(data) > wire.MAX_MESSAGE_BYTES:
            raise SpawnError(
                f"command and environment take {len(data)} bytes; at most {wire.MAX_MESSAGE_BYTES} are possible: "
                "hand large values over in files"
            )
        async with self._writable:
            while True:
                try:
                    socket.send_fds(self._channel, [data], list(descriptors))
                    return
                except BlockingIOError:
                    await self._wait_until_writable()
                except OSError as error:
                    if error.errno == errno.EMSGSIZE:
                        raise SpawnError(f"command and environment take {len(data)} bytes, too many here") from error
                    raise UnavailableError(f"the process launcher is gone: {error.strerror}") from error

    async def _wait_until_writable(self) -> None:
        writable: asyncio.Future[None] = self._loop.create_future()

        def awaken() -> None:
            if not writable.done():
                writable.set_result(None)

        self._loop.add_writer(self._channel.fileno(), awaken)
        try:
            await writable
        finally:
            self._loop.remove_writer(self._channel.fileno())

    def _received(self) -> None:
        limit, flags = wire.MAX_SOCKETS, socket.MSG_CMSG_CLOEXEC
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, wire.MAX_MESSAGE_BYTES, limit, flags)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data, descriptors = b"", []
        if not data:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
            _log.error("process launcher ended")
            self._abandon()
            self.on_lost()
            return
        match wire.decode(data):
            case wire.Reply() as reply:
                self._replied(reply, [socket.socket(fileno=descriptor) for descriptor in descriptors])
            case wire.Exited(pid, status):
                process = self._processes.pop(pid, None)
                if process is not None and not process.exited.done():
                    process.exited.set_result(status)
            case wire.Preloaded(error) if error:
                _log.warning("module not preloaded", error=error)
            case wire.Held(name):
                self._held[name] = tuple(socket.socket(fileno=descriptor) for descriptor in descriptors)
            case wire.Survivor(pid, label, status):
                self._survived(Process(pid), label, status, tuple(descriptors))
            case wire.Attached(networks):
                known = tuple(self.network(number) for number in networks)
                self._legacy.set_result(Legacy(tuple(self._survivors), known, self._held))

    def _survived(self, process: Process, label: str, status: int | None, descriptors: tuple[int, ...]) -> None:
        if status is None:
            self._processes[process.pid] = process
        else:
            process.exited.set_result(status)
        self._survivors.append(Survivor(process, label, descriptors))

    def _replied(self, reply: wire.Reply, sockets: Sequence[socket.socket]) -> None:
        if reply.pid:
            # On record before its exit can be read, however soon that comes.
            self._processes[reply.pid] = Process(reply.pid)
        waiting = self._replies.get(reply.request)
        if waiting is not None and not waiting.done():
            for opened in sockets:
                self._sockets[reply.request] = opened
            waiting.set_result(reply)
            return
        for opened in sockets:
            opened.close()
        if reply.pid:
            # Whoever wanted it was cancelled meanwhile: nobody else would ever end it.
            with suppress(OSError):
                self._channel.send(wire.encode(wire.Signal(reply.pid, signal.SIGKILL)))

    def _abandon(self) -> None:
        for process in self._processes.values():
            if not process.exited.done():
                process.exited.set_result(-signal.SIGKILL)
        self._processes.clear()
        lost = UnavailableError("the process launcher is gone")
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(lost)
        if not self._legacy.done():
            self._legacy.set_exception(lost)
            # Whether anybody has asked for it or not.
            self._legacy.exception()
