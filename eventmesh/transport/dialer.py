"""Outgoing connections: names looked up, time bounded, in the network namespace the cluster asks for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.transport.address import Address, InetAddress, UnixAddress
from eventmesh.transport.netns import SocketFactory

NAME_LIFETIME_S: Final = 5.0
"""How long a looked-up name is believed: Envoy's dns_refresh_rate default. getaddrinfo tells no TTL."""

MAX_NAMES: Final = 4096
"""Looked-up names kept at once, far above the named endpoints of one configuration; one more empties the table."""


Guard = Callable[[InetAddress], None]
"""Raises OSError for an address that is not to be dialled; names have been looked up."""


class Dialer:
    """Opens connections and keeps what names meant for a few seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._names: dict[InetAddress, tuple[float, InetAddress]] = {}

    async def dial(
        self,
        address: Address,
        network: SocketFactory,
        protocol: Callable[[], asyncio.BaseProtocol],
        timeout_s: float,
        guard: Guard | None = None,
    ) -> None:
        """Connect and hand the connection to `protocol()`; `guard` may refuse what a name turned out to mean.

        Raises OSError, TimeoutError after `timeout_s` (the name's lookup included); the caller tells the engine.
        """
        async with asyncio.timeout(timeout_s):
            if isinstance(address, InetAddress) and address.is_name:
                address = await self.resolve(address)
            if guard is not None and isinstance(address, InetAddress):
                guard(address)
            await self._connect(network, address, protocol)

    async def _connect(
        self, network: SocketFactory, address: Address, protocol: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        loop = asyncio.get_running_loop()
        family, target = _socket_address(address)
        dialled = network.socket(family, socket.SOCK_STREAM)
        try:
            if family == socket.AF_UNIX:
                await loop.sock_connect(dialled, target)
                await loop.create_unix_connection(protocol, sock=dialled)
            else:
                # Requests are written whole; Nagle would hold the last segment of each for an acknowledgement.
                dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.sock_connect(dialled, target)
                await loop.create_connection(protocol, sock=dialled)
        except BaseException:
            dialled.close()
            raise

    @property
    def names_kept(self) -> int:
        """How many names are believed at the moment."""
        return len(self._names)

    async def resolve(self, address: InetAddress) -> InetAddress:
        """Return `address` with its name replaced by what it means. Raises OSError."""
        known = self._names.get(address)
        now = self._clock.monotonic()
        if known is not None and known[0] > now:
            return known[1]
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        if not found:
            raise OSError(f"the name {address.host} has no address")
        target = InetAddress(str(found[0][4][0]), address.port)
        if len(self._names) >= MAX_NAMES:
            self._names.clear()
        self._names[address] = (now + NAME_LIFETIME_S, target)
        return target


async def accepts(address: Address, network: SocketFactory, timeout_s: float) -> bool:
    """Return whether somebody accepts connections at `address` within `timeout_s`; names are not looked up."""
    loop = asyncio.get_running_loop()
    family, target = _socket_address(address)
    try:
        with network.socket(family, socket.SOCK_STREAM) as probe:
            async with asyncio.timeout(timeout_s):
                await loop.sock_connect(probe, target)
    except OSError:  # TimeoutError is one
        return False
    return True


def _socket_address(address: Address) -> tuple[int, str | tuple[bytes, int]]:
    match address:
        case UnixAddress(path):
            return socket.AF_UNIX, path
        case InetAddress(host, port):
            # In bytes: for text, the socket would load the tables of international names, were it an address in digits.
            return socket.AF_INET6 if ":" in host else socket.AF_INET, (host.encode(), port)
