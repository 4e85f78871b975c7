"""Ports for servers that are told theirs, and keep it when they are started again."""

from __future__ import annotations

import random
import socket

PORTS = range(22_000, 30_000)
"""Below those that Linux gives by itself, to whoever binds port 0 and to each connection that goes out: none of them
takes a port while its server is away, and no client that dials a server that is away ever meets itself."""

_held: list[socket.socket] = []
"""Sockets that do not listen, until this process ends: nobody else, here or in another process, draws the same port.
Who sets SO_REUSEADDR, as servers do, can listen beside them (socket(7))."""


def free_port() -> int:
    """Return a port that nobody listens on, on no address, and that nobody else is given."""
    while True:
        port = random.choice(PORTS)
        held = socket.socket()
        try:
            # Without SO_REUSEADDR, so that the hold of another process does not let this one pass.
            held.bind(("", port))
        except OSError:
            held.close()
            continue
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _held.append(held)
        return port
