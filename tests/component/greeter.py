"""A process that serves the listening socket it was started with: it tells each client its own number."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Serve for ever; 1 when no socket was handed over."""
    del arguments
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return 1
    with socket.socket(fileno=3) as listening:
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(str(os.getpid()).encode())
