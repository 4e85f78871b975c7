"""Listening sockets for several processes: each address has one socket a process, bound and held by their supervisor.

The kernel spreads connections over the sockets of an address (SO_REUSEPORT). Since the supervisor holds them too, those
that wait for a process that has died wait for its successor. A unix socket cannot be bound twice: all share it.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from eventmesh.base.errors import ConfigError
from eventmesh.model.listener import Listener
from eventmesh.transport.acceptor import listen_on, unlink_socket
from eventmesh.transport.address import Address, InetAddress, UnixAddress, format_peer, parse_address
from eventmesh.transport.netns import HostNetwork

_Set = tuple[socket.socket, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Sockets bound for listeners that are not in force yet."""

    listeners: tuple[Listener, ...]
    """With the ports that the kernel chose where they asked for any."""
    sets: Mapping[str, _Set]
    """By the address as configured, and the listener's name where that is port 0."""
    opened: frozenset[str]
    """Those that were not there before."""

    def of(self, process: int) -> list[socket.socket]:
        """Return the sockets of one process; they stay ours."""
        return [sockets[process] for sockets in self.sets.values()]


class SocketSets:
    """The sockets of `count` processes, brought from one configuration to the next."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._network = HostNetwork()
        self.current = Prepared((), {}, frozenset())
        """What is in force."""

    def prepare(self, listeners: Iterable[Listener]) -> Prepared:
        """Bind what `listeners` adds.

        Raises ConfigError or UnavailableError naming the address; then nothing was bound.
        """
        sets: dict[str, _Set] = {}
        opened: set[str] = set()
        named = []
        try:
            for listener in listeners:
                field = f"listener {listener.name}: address"
                address = parse_address(listener.address, field)
                any_port = isinstance(address, InetAddress) and address.port == 0
                key = f"{address} {listener.name}" if any_port else str(address)
                if key in sets:
                    raise ConfigError(field, f"{address} is taken by another listener")
                if key not in self.current.sets:
                    opened.add(key)
                sets[key] = self.current.sets.get(key) or self._bind(address)
                bound = address if isinstance(address, UnixAddress) else format_peer(sets[key][0].getsockname())
                named.append(dataclasses.replace(listener, address=str(bound)))
        except BaseException:
            self.abandon(Prepared((), sets, frozenset(opened)))
            raise
        return Prepared(tuple(named), sets, frozenset(opened))

    def _bind(self, address: Address) -> _Set:
        # Alone first: an address that somebody else listens at is refused, however willing he is to share it.
        alone = listen_on(address, self._network)
        if isinstance(address, UnixAddress):
            return (alone, *(alone.dup() for _ in range(self._count - 1)))
        alone.close()
        sockets = [listen_on(address, self._network, shared=True)]
        chosen = InetAddress(address.host, sockets[0].getsockname()[1])
        try:
            sockets += [listen_on(chosen, self._network, shared=True) for _ in range(self._count - 1)]
        except BaseException:
            _close(sockets)
            raise
        return tuple(sockets)

    def commit(self, prepared: Prepared) -> None:
        """Make `prepared` what is in force, and close what it lacks."""
        former, self.current = self.current, prepared
        for key, sockets in former.sets.items():
            if key not in prepared.sets:
                _release(key, sockets)

    def abandon(self, prepared: Prepared) -> None:
        """Close what `prepare` bound."""
        for key in prepared.opened & prepared.sets.keys():
            _release(key, prepared.sets[key])

    def close(self) -> None:
        """Close all of them."""
        self.commit(Prepared((), {}, frozenset()))


def _release(key: str, sockets: _Set) -> None:
    _close(sockets)
    if key.startswith("unix:"):
        unlink_socket(key.removeprefix("unix:"))


def _close(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()
