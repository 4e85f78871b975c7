"""Addresses as flags give them."""

from __future__ import annotations

from eventmesh.base.errors import UsageError


def address(flag: str, text: str) -> tuple[str, int]:
    """Return host and port in `text`; raises UsageError naming the flag."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65_536:
        raise UsageError(f"{flag}: {text!r} is no address; write HOST:PORT, such as 127.0.0.1:18000")
    return host.strip("[]"), int(port)
