"""Addresses: `10.0.0.1:8080`, `[::1]:8080`, `unix:/run/app.sock`."""

from __future__ import annotations

from eventmesh.transport.address import canonical_ip
from eventmesh.xds.schema.tree import Message

MAX_PIPE_BYTES = 107
"""Longest path of a unix socket that Linux takes (sun_path less its final NUL)."""


def read_address(owner: Message, name: str, *, dns: bool = False, zero_port: bool = False) -> str:
    """Return the `core.Address` in field `name` of `owner`.

    `dns` accepts host names beside IP addresses, `zero_port` a port of 0 (any free port). Raises ConfigError.
    """
    address = owner.child(name)
    if address is None:
        raise owner.error(name, "missing; give a socket_address or a pipe")
    pipe = address.child("pipe")
    if pipe is not None:
        path = pipe.text("path")
        if not path or len(path.encode()) > MAX_PIPE_BYTES:
            raise pipe.error("path", f"{path!r} is no socket path of 1 to {MAX_PIPE_BYTES} bytes")
        return f"unix:{path}"
    socket = address.child("socket_address")
    if socket is None:
        raise address.error("", "empty; give a socket_address or a pipe")
    port = socket.number("port_value")
    low = 0 if zero_port else 1
    if not socket.has("port_value") or not low <= port <= 65535:
        raise socket.error("port_value", f"{port} is no port; accepted are {low} to 65535")
    host = socket.text("address")
    return f"{_host(socket, host, dns)}:{port}"


def _host(socket: Message, host: str, dns: bool) -> str:
    if canonical_ip(host) is not None:
        return f"[{host}]" if ":" in host else host
    if dns and host and not any(c.isspace() or c in ":/[]" for c in host):
        return host
    wanted = "an IP address or a host name" if dns else "an IP address"
    raise socket.error("address", f"{host!r} is not {wanted}")
