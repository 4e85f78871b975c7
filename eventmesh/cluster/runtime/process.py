"""Processes of pods as the runtime sees them: started, signalled and awaited through the launcher.

The launcher is a child of this process; when it is lost, every pod process has died with it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import eventmesh
from eventmesh.base import log
from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.cluster.runtime import wire

_log = log.get("runtime.process")

PRODUCT_PATH: Final = str(Path(eventmesh.__file__).resolve().parent.parent)
"""Where this very eventmesh is imported from, so that children run the same one."""

SIDECAR_MODULES: Final = ("eventmesh.cli.main", "eventmesh.cli.sidecar", "eventmesh.sidecar.preload")
"""What a launcher imports once for every sidecar, gateway and activator that it forks."""


ACTIVATOR_MODULES: Final = ("eventmesh.cli.activator", "eventmesh.activator.app")
"""What the activator imports beyond that: a quarter of a second that passes beside the start of everything else."""

UNCONFINED: Final = wire.Confinement()
"""The runtime's own view of the files, its user and its privileges."""


class SpawnError(MeshError):
    """A process could not be started; the message is the kernel's reason with the file it is about."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run and in which surroundings."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    workdir: str = "/"
    entry: str = ""
    """`module:function` called with `argv` inside the forked launcher, which has it imported already."""
    confinement: wire.Confinement = UNCONFINED


@dataclass(frozen=True, slots=True)
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


class ProcessLauncher:
    """The runtime's end of the launcher process."""

    def __init__(self, child: subprocess.Popen[bytes], channel: socket.socket, on_lost: Callable[[], None]) -> None:
        self._child = child
        self._channel = channel
        self.on_lost = on_lost
        """Called when the launcher ends without having been stopped."""
        self._loop = asyncio.get_running_loop()
        self._requests = 0
        self._replies: dict[int, asyncio.Future[wire.Reply]] = {}
        self._processes: dict[int, Process] = {}
        self._sockets: dict[int, socket.socket] = {}
        self._writable = asyncio.Lock()
        self._loop.add_reader(channel.fileno(), self._received)

    @classmethod
    def start(cls, preload: Sequence[str] = (), on_lost: Callable[[], None] = lambda: None) -> ProcessLauncher:
        """Start the launcher; it imports `preload` before it answers. `on_lost` is called if it ends unasked."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * wire.MAX_MESSAGE_BYTES)
        with theirs:
            child = subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
                [sys.executable, "-m", "eventmesh.cluster.runtime.launcher", str(theirs.fileno()), *preload],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": product_pythonpath(os.environ)},
            )
        return cls(child, ours, on_lost)

    @property
    def pid(self) -> int:
        """Return the launcher's process number."""
        return self._child.pid

    async def prepare(self, word: str, modules: Sequence[str]) -> None:
        """Have a process import `modules` now for the entry command whose first word is `word`, to come later."""
        await self._send(wire.Prepare(word, tuple(modules)))

    async def make_network(self) -> Network:
        """Return a new network namespace with only a loopback.

        Raises UnavailableError where the host allows none to this user: pods then share the host's network.
        """
        self._requests += 1
        reply = await self._ask(wire.MakeNetwork(self._requests))
        if reply.error:
            raise UnavailableError(f"this host allows no network namespaces to this user: {reply.error}")
        return Network(reply.network, f"/proc/{self.pid}/fd/{reply.network}")

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
    ) -> Process:
        """Start `command` in a session of its own; the descriptors stay the caller's to close. An entry finds the
        listening `sockets` as sd_listen_fds(3) says. With `on_terminal` the streams are a terminal, which becomes the
        one that controls it.

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
        )
        streams = [stdout, stderr] if stdin is None else [stdout, stderr, stdin]
        reply = await self._ask(order, [*streams, *sockets])
        if reply.error:
            raise SpawnError(f"cannot start {command.argv[0]!r}: {reply.error}")
        return self._processes[reply.pid]

    async def signal(self, process: Process, number: int) -> None:
        """Send `number` to the process and everything in its group; nothing happens when it has ended."""
        await self._send(wire.Signal(process.pid, number))

    async def stop(self) -> None:
        """Kill every process that is left, and return when the launcher has ended."""
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
        await self._loop.run_in_executor(None, self._child.wait)
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
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, wire.MAX_MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data, descriptors = b"", []
        if not data:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
            _log.error("process launcher ended", code=self._child.poll())
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
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(UnavailableError("the process launcher is gone"))


def product_pythonpath(env: Mapping[str, str]) -> str:
    """Return a PYTHONPATH under which children import this very eventmesh."""
    rest = [part for part in env.get("PYTHONPATH", "").split(os.pathsep) if part and part != PRODUCT_PATH]
    return os.pathsep.join([PRODUCT_PATH, *rest])
