"""Listening sockets: bound before a configuration is accepted, served after it is in force."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable, Sequence
from typing import Final

from eventmesh.base.errors import UnavailableError
from eventmesh.transport.address import Address, InetAddress, UnixAddress, format_peer
from eventmesh.transport.netns import SocketFactory

BACKLOG: Final = 4096
"""Connections the kernel completes before we accept them; it cuts this down to net.core.somaxconn (4096 since
Linux 5.4). Small backlogs turn a burst of clients into one-second SYN retries."""

MAX_UNSENT: Final = 64 * 1024
"""Bytes written for a client that the kernel may hold and not send yet (TCP_NOTSENT_LOWAT, tcp(7)). What is on its way
counts apart, so that no path is slower for it. A client that does not read would have 4 MiB otherwise
(net.ipv4.tcp_wmem), and some hundreds of them the memory that TCP has for everybody."""

_REASONS: Final = {
    errno.EADDRINUSE: "something listens there already; stop it or choose another port",
    errno.EACCES: "ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


class Acceptor:
    """One address that is listened at. It is bound when made and accepts nothing until `serve`."""

    def __init__(self, address: Address, network: SocketFactory, *, inherited: Sequence[socket.socket] = ()) -> None:
        """With `inherited` those sockets, which listen there already, are served. Raises UnavailableError as
        `listen_on`."""
        self.configured = address
        self._owns_file = not inherited
        self._sockets = tuple(inherited) or (listen_on(address, network),)
        self.address = self._bound()
        self._servers: list[asyncio.Server] = []
        self._ignore_waiting: Callable[[], object] = lambda: None

    def _bound(self) -> str:
        return (
            str(self.configured)
            if isinstance(self.configured, UnixAddress)
            else format_peer(self._sockets[0].getsockname())
        )

    def on_waiting(self, tell: Callable[[], None]) -> None:
        """Call `tell`, once, when somebody has connected; only before `serve`, until which the kernel holds them."""
        loop = asyncio.get_running_loop()

        def ignore() -> None:
            for one in self._sockets:
                loop.remove_reader(one)

        def connected() -> None:
            ignore()
            tell()

        for one in self._sockets:
            loop.add_reader(one, connected)
        self._ignore_waiting = ignore

    async def serve(self, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        """Accept connections from now on, one `protocol()` each."""
        self._ignore_waiting()
        loop = asyncio.get_running_loop()
        create = loop.create_unix_server if isinstance(self.configured, UnixAddress) else loop.create_server
        for one in self._sockets:
            self._servers.append(await create(protocol, sock=one, backlog=BACKLOG))

    def descriptors(self) -> list[socket.socket]:
        """Return a duplicate of each socket, the caller's to close."""
        return [one.dup() for one in self._sockets]

    def disown(self) -> None:
        """Leave a unix socket's file where it is: another process serves it."""
        self._owns_file = False

    def close(self) -> None:
        """Accept no more; connections already accepted live on. A unix socket's file goes with whoever bound it."""
        self._ignore_waiting()
        for server in self._servers:
            server.close()
        if not self._servers:
            for one in self._sockets:
                one.close()
        if self._owns_file and isinstance(self.configured, UnixAddress):
            unlink_socket(self.configured.path)


def listen_on(address: Address, network: SocketFactory, *, shared: bool = False) -> socket.socket:
    """Return a socket that listens at `address`; if `shared`, others may listen there too (SO_REUSEPORT, socket(7)).

    Raises UnavailableError naming the address and the reason.
    """
    try:
        return _bind(address, network, shared)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise UnavailableError(f"cannot listen on {address}: {reason}") from error


def _bind(address: Address, network: SocketFactory, shared: bool) -> socket.socket:
    match address:
        case UnixAddress(path):
            _refuse_live_socket(path)
            unlink_socket(path)
            listening = network.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            target: str | tuple[str, int] = path
        case InetAddress(host, port):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listening = network.socket(family, socket.SOCK_STREAM)
            target = (host, port)
    try:
        if isinstance(address, InetAddress):
            # A restarted process must not wait for the TIME_WAIT of its predecessor's connections.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
            # Connections inherit it. uvloop sets it by itself; asyncio's own loop does not where no protocol number was
            # given, and a second small message waited 40 ms for the peer's acknowledgement of the first.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT)
        listening.bind(target)
        # Listening now, so that a port that is taken refuses the configuration and not the first client.
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _refuse_live_socket(path: str) -> None:
    """Raise EADDRINUSE when somebody answers at `path`: a stale file may be taken over, a live one may not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        if probe.connect_ex(path) in (0, errno.EAGAIN, errno.EINPROGRESS):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def unlink_socket(path: str) -> None:
    """Remove the file of a unix socket; nothing else, and nothing happens when there is none."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        return
