"""Listening sockets handed over by whoever started this process, by the protocol of sd_listen_fds(3).

A socket that outlives the process that serves it refuses nobody while that process is started again: clients wait in
the kernel. `eventmesh up` holds the sockets of gateway and activator so; systemd's socket units do the same.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from typing import Final

from eventmesh.transport.address import Address, InetAddress, UnixAddress

FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START."""

COUNT, PROCESS, NAMES = "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"


class Inherited:
    """The sockets that are there for this process, by the address each is bound to; several may share one
    (SO_REUSEPORT), and clients wait at each of them."""

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self._sockets = _by_address(sockets)

    @classmethod
    def of_process(cls, environ: MutableMapping[str, str] | None = None) -> Inherited:
        """Return what the environment announces for this very process. The variables are removed, so that no child
        takes them for its own."""
        variables = os.environ if environ is None else environ
        count, process = variables.pop(COUNT, ""), variables.pop(PROCESS, "")
        variables.pop(NAMES, None)
        if process != str(os.getpid()) or not count.isdecimal():
            return cls()
        found = []
        for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
            # What is no socket is somebody else's mistake, and costs no more than the address it was meant for.
            with suppress(OSError):
                os.set_inheritable(descriptor, False)
                found.append(socket.socket(fileno=descriptor))
        return cls(found)

    def at(self, address: Address) -> tuple[socket.socket, ...]:
        """Return a duplicate of every socket that listens at `address`, the caller's to close."""
        return tuple(one.dup() for one in self._sockets.get(str(address), ()))

    def replace(self, sockets: Iterable[socket.socket]) -> None:
        """Have these sockets and no others from now on; who serves one has a duplicate of its own."""
        former, self._sockets = self._sockets, _by_address(sockets)
        for shared in former.values():
            for one in shared:
                one.close()


def _by_address(sockets: Iterable[socket.socket]) -> dict[str, list[socket.socket]]:
    found: dict[str, list[socket.socket]] = {}
    for one in sockets:
        found.setdefault(_bound_to(one), []).append(one)
    return found


def _bound_to(one: socket.socket) -> str:
    name = one.getsockname()
    return str(InetAddress(name[0], name[1]) if isinstance(name, tuple) else UnixAddress(name))
