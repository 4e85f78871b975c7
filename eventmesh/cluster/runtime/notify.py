"""How a sidecar says that its pod may be sent requests: datagrams of sd_notify(3) on a socket per pod.

`READY=1` makes the pod ready at once, `READY=0` (an extension of ours) takes that back, anything else is left alone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

MAX_DATAGRAM_BYTES: Final = 4096
"""systemd reads as much; ours are ten bytes."""

MAX_SOCKET_PATH_BYTES: Final = 107
"""Length of sun_path (unix(7)) without its end mark."""


class NotifySockets:
    """A private directory of notification sockets, one per pod."""

    def __init__(self) -> None:
        # A short path of its own: a data directory may lie deeper than a socket's path may be long.
        self._directory = Path(tempfile.mkdtemp(prefix="eventmesh-"))
        self._sockets: dict[str, tuple[socket.socket, Path]] = {}
        self._loop = asyncio.get_running_loop()

    def open(self, uid: str, on_ready: Callable[[bool], None]) -> str:
        """Listen for the pod `uid`; return the path for NOTIFY_SOCKET. `on_ready` is called on each change it tells."""
        path = self._directory / uid
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        with suppress(FileNotFoundError):
            os.unlink(path)
        receiver.bind(str(path))
        return self.adopt(uid, receiver, on_ready)

    def adopt(self, uid: str, receiver: socket.socket, on_ready: Callable[[bool], None]) -> str:
        """Listen for the pod `uid` at the socket of an earlier runtime, which has kept what was told to it meanwhile;
        return its path."""
        receiver.setblocking(False)
        path = receiver.getsockname()
        self._sockets[uid] = receiver, Path(path)

        def received() -> None:
            with suppress(BlockingIOError):
                while True:
                    for line in receiver.recv(MAX_DATAGRAM_BYTES).split(b"\n"):
                        if line in (b"READY=1", b"READY=0"):
                            on_ready(line == b"READY=1")

        self._loop.add_reader(receiver.fileno(), received)
        return str(path)

    def descriptor(self, uid: str) -> int | None:
        """Return that of the socket of the pod `uid`; None: it has none."""
        return self._sockets[uid][0].fileno() if uid in self._sockets else None

    def close(self, uid: str) -> None:
        """Stop listening for the pod `uid`."""
        if uid not in self._sockets:
            return
        receiver, path = self._sockets.pop(uid)
        self._loop.remove_reader(receiver.fileno())
        receiver.close()
        path.unlink(missing_ok=True)
        if path.parent != self._directory:
            # That of an earlier runtime goes with its last socket.
            with suppress(OSError):
                path.parent.rmdir()

    def stop(self) -> None:
        """Close every socket and remove the directory."""
        for uid in list(self._sockets):
            self.close(uid)
        shutil.rmtree(self._directory, ignore_errors=True)
