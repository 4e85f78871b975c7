"""Ports for servers that are told theirs, and keep it when they are started again."""

from __future__ import annotations

import random
import socket

PORTS = range(22_000, 30_000)
"""Below those that Linux gives by itself, to whoever binds port 0 and to each connection that goes out: none of them
takes a port while its server is away, and no client that dials a server that is away ever meets itself."""

_given: set[int] = set()


def free_port() -> int:
    """Return a port that nobody listens on, on no address, and that was not returned before."""
    while True:
        port = random.choice(PORTS)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        return port
