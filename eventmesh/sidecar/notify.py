"""Tells the supervisor what state this process is in: sd_notify(3), a datagram to `NOTIFY_SOCKET`.

`READY=1` as systemd knows it, and `READY=0`, an extension of ours, when the function stopped answering.
"""

from __future__ import annotations

import os
import socket

from eventmesh.base import log

_log = log.get("sidecar.notify")


def notify(path: str, message: str) -> None:
    """Send `message` to the socket at `path` (`@name` = abstract); without a path do nothing. A lost message is logged:
    a supervisor that has gone away is no reason to stop serving."""
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(os.fsencode(message), address)
    except OSError as error:
        _log.warning("supervisor not told", state=message, socket=path, reason=error.strerror)
