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
        self._sockets: dict[str, socket.socket] = {}
        self._loop = asyncio.get_running_loop()

    def open(self, uid: str, on_ready: Callable[[bool], None]) -> str:
        """Listen for the pod `uid`; return the path for NOTIFY_SOCKET. `on_ready` is called on each change it tells."""
        path = str(self._directory / uid)
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        with suppress(FileNotFoundError):
            os.unlink(path)
        receiver.bind(path)
        self._sockets[uid] = receiver

        def received() -> None:
            with suppress(BlockingIOError):
                while True:
                    for line in receiver.recv(MAX_DATAGRAM_BYTES).split(b"\n"):
                        if line in (b"READY=1", b"READY=0"):
                            on_ready(line == b"READY=1")

        self._loop.add_reader(receiver.fileno(), received)
        return path

    def close(self, uid: str) -> None:
        """Stop listening for the pod `uid`."""
        receiver = self._sockets.pop(uid, None)
        if receiver is not None:
            self._loop.remove_reader(receiver.fileno())
            receiver.close()
            (self._directory / uid).unlink(missing_ok=True)

    def stop(self) -> None:
        """Close every socket and remove the directory."""
        for uid in list(self._sockets):
            self.close(uid)
        shutil.rmtree(self._directory, ignore_errors=True)
