"""Programs that somebody runs beside a container's own, with streams of their own: `kubectl exec` and what uses it."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from typing import Final

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.runtime.process import Command, Network, Process, ProcessLauncher

READ_BYTES: Final = 32 * 1024
"""What one read of a stream takes; what the other side of `kubectl cp` sends at once, too."""

TERMINAL: Final = "xterm"
"""What container runtimes say a terminal is, since nobody tells them."""


class Stream(Enum):
    """An output of a program."""

    STDOUT = "stdout"
    STDERR = "stderr"


class Session:
    """One program at work. Read its outputs to their ends, `wait` for it, and always `end` it."""

    def __init__(
        self, launcher: ProcessLauncher, process: Process, outputs: Mapping[Stream, int], stdin: int | None
    ) -> None:
        self._launcher = launcher
        self._process = process
        self._outputs = dict(outputs)
        self._stdin = stdin
        self._is_closed = False

    @property
    def outputs(self) -> tuple[Stream, ...]:
        """Return which outputs there are; on a terminal both are one."""
        return tuple(self._outputs)

    async def read(self, stream: Stream) -> bytes:
        """Return the next bytes of an output, none at its end."""
        return await _read(self._outputs[stream])

    async def write(self, data: bytes) -> None:
        """Write to standard input, as fast as the program reads it; what nobody will read is dropped."""
        while data and self._stdin is not None:
            try:
                data = data[os.write(self._stdin, data) :]
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await _ready(self._stdin, loop.add_writer, loop.remove_writer)
            except OSError:
                return

    def close_input(self) -> None:
        """Let the program read the end of its input; a terminal has none."""
        if self._stdin is not None and self._stdin not in self._outputs.values():
            os.close(self._stdin)
            self._stdin = None

    def resize(self, columns: int, rows: int) -> None:
        """Tell the program how large its terminal is; nothing happens without one, or for a size that is none."""
        if self._stdin is not None and self._stdin in self._outputs.values():
            with suppress(OSError, struct.error):
                fcntl.ioctl(self._stdin, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def wait(self) -> int:
        """Return the exit code as a shell tells it: 128 and the signal for a program that was killed."""
        status = await asyncio.shield(self._process.exited)
        return status if status >= 0 else 128 - status

    async def guard(self) -> None:
        """Return when the program has ended; cancelled, end it: its pod is gone."""
        try:
            await self.wait()
        finally:
            await self._kill()

    async def end(self) -> None:
        """Kill what still runs and close every stream; nobody may be reading or writing any more."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._kill()
        for descriptor in {*self._outputs.values(), *({self._stdin} if self._stdin is not None else ())}:
            os.close(descriptor)

    async def _kill(self) -> None:
        if self._process.exited.done():
            return
        # Without a launcher nothing that it started is left.
        with suppress(UnavailableError):
            await self._launcher.signal(self._process, signal.SIGKILL)


async def start_session(
    launcher: ProcessLauncher, command: Command, network: Network | None, *, stdin: bool, tty: bool
) -> Session:
    """Start `command` and return its streams; raises SpawnError, UnavailableError."""
    if tty:
        return await _start_on_terminal(launcher, command, network)
    pipes = [os.pipe() for _ in range(3 if stdin else 2)]
    (out, out_end), (err, err_end) = pipes[:2]
    in_end, inlet = pipes[2] if stdin else (None, None)
    theirs, ours = [out_end, err_end], [out, err]
    if in_end is not None and inlet is not None:
        theirs.append(in_end)
        ours.append(inlet)
    try:
        process = await launcher.spawn(command, out_end, err_end, network, stdin=in_end)
    except BaseException:
        _close(ours)
        raise
    finally:
        _close(theirs)
    for descriptor in ours:
        os.set_blocking(descriptor, False)
    return Session(launcher, process, {Stream.STDOUT: out, Stream.STDERR: err}, inlet)


async def _start_on_terminal(launcher: ProcessLauncher, command: Command, network: Network | None) -> Session:
    ours, theirs = pty.openpty()
    command = replace(command, env={"TERM": TERMINAL, **command.env})
    try:
        process = await launcher.spawn(command, theirs, theirs, network, stdin=theirs, on_terminal=True)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    os.set_blocking(ours, False)
    return Session(launcher, process, {Stream.STDOUT: ours}, ours)


async def _read(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    while True:
        try:
            return os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            await _ready(descriptor, loop.add_reader, loop.remove_reader)
        except OSError as error:
            if error.errno == errno.EIO:
                # What a terminal says when nobody has it open any more.
                return b""
            raise


async def _ready(descriptor: int, add: Callable[..., object], remove: Callable[[int], object]) -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def awaken() -> None:
        if not ready.done():
            ready.set_result(None)

    add(descriptor, awaken)
    try:
        await ready
    finally:
        remove(descriptor)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
