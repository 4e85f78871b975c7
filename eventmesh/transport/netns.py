"""Sockets that live in another network namespace than the process that uses them.

A socket belongs for good to the namespace of the thread that made it. A pod's sidecar runs in the host's
namespace and makes those few sockets that face its function in the pod's (namespaces(7), setns(2)).
"""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from eventmesh.base.errors import UnavailableError


class SocketFactory(Protocol):
    """Where sockets are made."""

    def socket(self, family: int, kind: int) -> socket.socket:
        """Return a new non-blocking socket. Raises OSError."""
        ...


class HostNetwork:
    """The namespace this process was started in."""

    def socket(self, family: int, kind: int) -> socket.socket:
        """Return a new non-blocking socket of this process's own namespace."""
        return socket.socket(family, kind | socket.SOCK_NONBLOCK)


class NetworkNamespace:
    """A namespace named by a file (`/run/netns/x`, `/proc/PID/ns/net`).

    One thread lives inside it: entering costs once, and an unprivileged process, which may enter its pod's
    namespace but never come back to the host's, keeps its other threads outside.
    """

    def __init__(self, path: str) -> None:
        """Raises UnavailableError when the file is missing or may not be entered."""
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="netns")
        try:
            self._thread.submit(_enter, path).result()
        except OSError as error:
            self._thread.shutdown()
            raise UnavailableError(f"cannot enter the network namespace {path}: {error.strerror}") from error

    def socket(self, family: int, kind: int) -> socket.socket:
        """Return a new non-blocking socket of the namespace."""
        return self._thread.submit(socket.socket, family, kind | socket.SOCK_NONBLOCK).result()

    def close(self) -> None:
        """End the thread; sockets made before stay usable."""
        self._thread.shutdown()

    def __str__(self) -> str:
        return self._path


def _enter(path: str) -> None:
    # ctypes costs milliseconds to import: only a process that has a pod's namespace pays them.
    from eventmesh.base.linux import CLONE_NEWNET, enter_namespace

    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_namespace(fd, CLONE_NEWNET)
    finally:
        os.close(fd)
