"""Listening sockets for several processes: each address has one socket a process, bound and held by their supervisor.

The kernel spreads connections over the sockets of an address (SO_REUSEPORT). Since the supervisor holds them too, those
that wait for a process that has died wait for its successor. A unix socket cannot be bound twice: all share it. Sockets
that another supervisor has handed over are shared out, for none may be left that nobody serves: clients wait at it.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.model.listener import Listener
from eventmesh.transport.acceptor import listen_on, unlink_socket
from eventmesh.transport.address import Address, InetAddress, UnixAddress, format_peer, parse_address
from eventmesh.transport.inherited import Inherited
from eventmesh.transport.netns import HostNetwork


@frozen
class SocketSet:
    """The sockets of one address."""

    parts: tuple[tuple[socket.socket, ...], ...]
    """Those of each process."""
    is_inherited: bool = False
    """Bound by somebody else: a unix socket's file is not ours to remove."""

    def all(self) -> Iterator[socket.socket]:
        """Yield every socket of the set."""
        for part in self.parts:
            yield from part


@frozen
class Prepared:
    """Sockets bound for listeners that are not in force yet."""

    listeners: tuple[Listener, ...]
    """With the ports that the kernel chose where they asked for any."""
    sets: Mapping[str, SocketSet]
    """By the address as configured, and the listener's name where that is port 0."""
    opened: frozenset[str]
    """Those that were not there before."""

    def of(self, process: int) -> list[socket.socket]:
        """Return the sockets of one process; they stay ours."""
        return [one for known in self.sets.values() for one in known.parts[process]]

    def all(self) -> list[socket.socket]:
        """Return a duplicate of every socket, the caller's to close."""
        return [one.dup() for known in self.sets.values() for one in known.all()]


class SocketSets:
    """The sockets of `count` processes, brought from one configuration to the next."""

    def __init__(self, count: int, inherited: Inherited | None = None) -> None:
        """What has been `inherited` is used at its addresses."""
        self._count = count
        self._inherited = inherited or Inherited()
        self._network = HostNetwork()
        self.current = Prepared((), {}, frozenset())
        """What is in force."""

    def prepare(self, listeners: Iterable[Listener]) -> Prepared:
        """Bind what `listeners` adds.

        Raises ConfigError or UnavailableError naming the address; then nothing was bound.
        """
        sets: dict[str, SocketSet] = {}
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
                first = next(sets[key].all())
                bound = address if isinstance(address, UnixAddress) else format_peer(first.getsockname())
                named.append(dataclasses.replace(listener, address=str(bound)))
        except BaseException:
            self.abandon(Prepared((), sets, frozenset(opened)))
            raise
        return Prepared(tuple(named), sets, frozenset(opened))

    def _bind(self, address: Address) -> SocketSet:
        if given := self._inherited.at(address):
            return SocketSet(_shared_out(given, self._count), is_inherited=True)
        # Alone first: an address that somebody else listens at is refused, however willing he is to share it.
        alone = listen_on(address, self._network)
        if isinstance(address, UnixAddress):
            return SocketSet(_shared_out((alone,), self._count))
        alone.close()
        sockets = [listen_on(address, self._network, shared=True)]
        chosen = InetAddress(address.host, sockets[0].getsockname()[1])
        try:
            sockets += [listen_on(chosen, self._network, shared=True) for _ in range(self._count - 1)]
        except BaseException:
            _close(sockets)
            raise
        return SocketSet(_shared_out(sockets, self._count))

    def disown(self) -> None:
        """Another process serves the same sockets: leave files of unix sockets where they are."""
        sets = {key: dataclasses.replace(known, is_inherited=True) for key, known in self.current.sets.items()}
        self.current = dataclasses.replace(self.current, sets=sets)

    def commit(self, prepared: Prepared) -> None:
        """Make `prepared` what is in force, and close what it lacks."""
        former, self.current = self.current, prepared
        for key, known in former.sets.items():
            if key not in prepared.sets:
                _release(key, known)

    def abandon(self, prepared: Prepared) -> None:
        """Close what `prepare` bound."""
        for key in prepared.opened & prepared.sets.keys():
            _release(key, prepared.sets[key])

    def close(self) -> None:
        """Close all of them."""
        self.commit(Prepared((), {}, frozenset()))


def _shared_out(sockets: Sequence[socket.socket], count: int) -> tuple[tuple[socket.socket, ...], ...]:
    """Return the sockets of each of `count` processes: every socket is somebody's, and everybody has one."""
    if len(sockets) >= count:
        return tuple(tuple(sockets[place::count]) for place in range(count))
    more = (sockets[place % len(sockets)].dup() for place in range(len(sockets), count))
    return tuple((one,) for one in (*sockets, *more))


def _release(key: str, known: SocketSet) -> None:
    _close(known.all())
    if key.startswith("unix:") and not known.is_inherited:
        unlink_socket(key.removeprefix("unix:"))


def _close(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()
