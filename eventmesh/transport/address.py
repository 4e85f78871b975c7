"""Socket addresses as configuration writes them: `127.0.0.1:8080`, `[::1]:8080`, `name:8080`, `unix:/run/app.sock`."""

from __future__ import annotations

import os
import socket
from typing import Final

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen

MAX_UNIX_PATH_BYTES: Final = 107
"""sockaddr_un.sun_path holds 108 bytes with the closing NUL (unix(7)); the kernel's own error names no path."""

MAX_PORT: Final = 65_535


@frozen
class UnixAddress:
    """A socket in the file system."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@frozen
class InetAddress:
    """A host, by number or by name, and a port; port 0 lets the kernel choose where one listens."""

    host: str
    port: int

    @property
    def is_name(self) -> bool:
        """Whether the host has to be looked up before it can be dialled."""
        return canonical_ip(self.host) is None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Address = UnixAddress | InetAddress


def parse_address(text: str, field: str = "address") -> Address:
    """Return the address that `text` means; ConfigError names `field` when it means none."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise ConfigError(field, "a unix address needs a path: unix:/run/app.sock")
        if len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES:
            raise ConfigError(
                field, f"the path {path!r} is longer than {MAX_UNIX_PATH_BYTES} bytes; choose a shorter one"
            )
        return UnixAddress(path)
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ConfigError(field, f"{text!r} is not HOST:PORT, [IPV6]:PORT or unix:PATH")
    if not (port.isascii() and port.isdigit()) or int(port) > MAX_PORT:
        raise ConfigError(field, f"the port of {text!r} is not a number from 0 to {MAX_PORT}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(field, f"{text!r}: an IPv6 address stands in brackets: [{host}]:{port}")
    return InetAddress(host, int(port))


def canonical_ip(text: str) -> str | None:
    """Return an IPv4 or IPv6 address as the kernel spells it, with its zone (`fe80::1%eth0`) if it has one; None when
    `text` is no IP address.
    """
    number, percent, zone = text.partition("%")
    family = socket.AF_INET6 if ":" in number else socket.AF_INET
    if percent and not (zone and family is socket.AF_INET6):
        return None
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, number)) + percent + zone
    except (OSError, ValueError):  # ValueError: a NUL, or what is not ASCII
        return None


def format_peer(name: object) -> str:
    """Return what `getpeername` gave in the form addresses are written; a unix peer has no name and is `unix`."""
    if isinstance(name, tuple) and len(name) >= 2:
        return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"
    return "unix"
