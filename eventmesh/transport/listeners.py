"""The listening sockets of one process, brought from one configuration to the next without losing a client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping

from eventmesh.base import log
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.model.listener import Listener
from eventmesh.model.tracing import Traffic
from eventmesh.transport.acceptor import Acceptor
from eventmesh.transport.address import InetAddress, UnixAddress, parse_address
from eventmesh.transport.connection import AcceptedConnection
from eventmesh.transport.driver import Driver
from eventmesh.transport.inherited import Inherited
from eventmesh.transport.netns import HostNetwork, SocketFactory

_log = log.get("transport.listeners")

_Key = tuple[str, int, str]


@frozen
class Change:
    """Sockets already bound for a configuration that is not in force yet."""

    names: Mapping[_Key, str]
    opened: Mapping[_Key, Acceptor]


class Listeners:
    """Opens and closes listening sockets; a socket whose address stays the same is kept, whatever else changes."""

    def __init__(
        self,
        driver: Driver,
        outbound: SocketFactory | None = None,
        inherited: Inherited | None = None,
    ) -> None:
        """`outbound` makes the sockets of outbound listeners where the function lives. These listen at once, but accept
        nobody before `release`: connections wait in the kernel. None: they are listeners as all others.

        Sockets that this process has `inherited` are served at their addresses.
        """
        self._inherited = inherited or Inherited()
        self._outbound = outbound
        self._is_held = outbound is not None
        self._waiting = asyncio.Event()
        self._driver = driver
        self._host = HostNetwork()
        self._acceptors: dict[_Key, Acceptor] = {}
        self._names: Mapping[_Key, str] = {}

    def addresses(self) -> dict[str, str]:
        """Return where each listener really listens: port 0 has become the port the kernel chose."""
        return {self._names[key]: acceptor.address for key, acceptor in self._acceptors.items()}

    def prepare(self, listeners: Iterable[Listener]) -> Change:
        """Bind what `listeners` adds.

        Raises ConfigError or UnavailableError naming the address; then nothing was bound.
        """
        names: dict[_Key, str] = {}
        opened: dict[_Key, Acceptor] = {}
        try:
            for listener in listeners:
                network = (
                    self._outbound
                    if listener.traffic is Traffic.OUTBOUND and self._outbound is not None
                    else self._host
                )
                field = f"listener {listener.name}: address"
                address = parse_address(listener.address, field)
                chosen_by_kernel = isinstance(address, InetAddress) and address.port == 0
                key = (str(address), id(network), listener.name if chosen_by_kernel else "")
                if key in names:
                    raise ConfigError(field, f"{address} is taken by the listener {names[key]}")
                if key not in self._acceptors and key not in opened:
                    inherited = self._inherited.at(address) if network is self._host else ()
                    opened[key] = Acceptor(address, network, inherited=inherited)
                names[key] = listener.name
        except BaseException:
            self.abandon(Change(names, opened))
            raise
        return Change(names, opened)

    def abandon(self, change: Change) -> None:
        """Close what `prepare` bound."""
        for acceptor in change.opened.values():
            acceptor.close()

    async def commit(self, change: Change) -> None:
        """Accept on the new sockets and close those no longer wanted; the engine knows the new names by now."""
        self._names = change.names
        for key in [key for key in self._acceptors if key not in change.names]:
            self._acceptors.pop(key).close()
        for key, acceptor in change.opened.items():
            self._acceptors[key] = acceptor
            if self._is_held and self._is_outbound(key):
                acceptor.on_waiting(self._waiting.set)
            else:
                await self._serve(key, acceptor)

    async def somebody_waits(self) -> None:
        """Return when a connection waits at a listener that is held."""
        await self._waiting.wait()

    async def release(self) -> None:
        """Accept on the listeners that were held, those who wait first."""
        if self._is_held:
            self._is_held = False
            for key, acceptor in list(self._acceptors.items()):
                if self._is_outbound(key):
                    await self._serve(key, acceptor)

    def _is_outbound(self, key: _Key) -> bool:
        return self._outbound is not None and key[1] == id(self._outbound)

    async def _serve(self, key: _Key, acceptor: Acceptor) -> None:
        await acceptor.serve(self._protocol(key, acceptor))
        _log.info("listening", listener=self._names[key], address=acceptor.address)

    def _protocol(self, key: _Key, acceptor: Acceptor) -> Callable[[], asyncio.BaseProtocol]:
        is_unix = isinstance(acceptor.configured, UnixAddress)
        # Looked up for each connection: the same socket may serve a listener of another name later.
        return lambda: AcceptedConnection(self._driver, self._names.get(key, ""), is_unix=is_unix)

    def descriptors(self) -> list[socket.socket]:
        """Return a duplicate of every listening socket of the host's network, the caller's to close."""
        return [one for acceptor in self._acceptors.values() for one in acceptor.descriptors()]

    def disown(self) -> None:
        """Another process serves the same sockets: leave files of unix sockets where they are."""
        for acceptor in self._acceptors.values():
            acceptor.disown()

    async def adopt(self, address: str, connection: socket.socket) -> bool:
        """Serve a connection that another process accepted at `address`; if nothing listens there, close it: False."""
        for key, acceptor in self._acceptors.items():
            if acceptor.address == address:
                connection.setblocking(False)
                await asyncio.get_running_loop().connect_accepted_socket(self._protocol(key, acceptor), connection)
                return True
        connection.close()
        return False

    def close(self, keep: frozenset[str] = frozenset()) -> None:
        """Accept no more, except on the listeners named in `keep`."""
        for key in [key for key in self._acceptors if self._names.get(key) not in keep]:
            self._acceptors.pop(key).close()
