"""One process takes over from another: listening sockets first, then the clients' connections one by one.

The two may be of different versions, so what they say is JSON and little: the one that serves answers whoever connects
to its unix socket with its listening sockets; the other says `go` once it serves them too, and is sent each connection
as soon as nothing is under way on it. What ends before `go` changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from eventmesh.base import log
from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.transport.address import UnixAddress, parse_address
from eventmesh.transport.channel import MAX_SOCKETS, Channel, ChannelClosed
from eventmesh.transport.inherited import Inherited

_log = log.get("dataplane.hot_restart")

VERSION: Final = 1
"""Of what the two processes say."""

PATIENCE_S: Final = 30.0
"""A predecessor that says nothing for so long is stuck; the new process then does not start."""


class Successor:
    """The process that takes over, as its predecessor sees it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def give(self, address: str, connection: socket.socket) -> None:
        """Send it a connection that was accepted at `address`. Raises ChannelClosed when it has gone."""
        await self._channel.send(json.dumps({"accepted_at": address}).encode(), [connection])

    def close(self) -> None:
        """Say that there is no more."""
        self._channel.close()


class Predecessor:
    """The process that is taken over from, as its successor sees it."""

    def __init__(self, channel: Channel, sockets: list[socket.socket]) -> None:
        self._channel = channel
        self.inherited = Inherited(sockets)
        """Its listening sockets."""

    @classmethod
    async def find(cls, path: str) -> Predecessor | None:
        """Return who offers itself at `path`; None when nobody does.

        Raises UnavailableError when somebody does and cannot be taken over from.
        """
        address = _checked(path)
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            end.connect(address.path)
        except (FileNotFoundError, ConnectionRefusedError):
            end.close()
            return None
        except OSError as error:
            end.close()
            raise UnavailableError(f"--hot-restart: cannot connect to {path}: {error.strerror}") from error
        channel = Channel(end)
        try:
            async with asyncio.timeout(PATIENCE_S):
                message, sockets = await channel.receive()
        except (ChannelClosed, TimeoutError) as error:
            channel.close()
            raise UnavailableError(f"--hot-restart: the process at {path} does not hand over: {error}") from error
        said = json.loads(message)
        if said.get("hot_restart") != VERSION:
            channel.close()
            spoken = said.get("hot_restart")
            raise UnavailableError(f"--hot-restart: the process at {path} speaks version {spoken!r}, not {VERSION}")
        return cls(channel, sockets)

    async def take_over(self, adopt: Callable[[str, socket.socket], Awaitable[None]]) -> None:
        """Say that this process serves, and hand every connection that comes to `adopt`, until there are no more.

        The listening sockets that nobody has asked for are closed.
        """
        await self._channel.send(b'{"go": true}')
        self.inherited.replace(())
        try:
            while True:
                message, sockets = await self._channel.receive()
                for connection in sockets:
                    await adopt(str(json.loads(message).get("accepted_at", "")), connection)
        except ChannelClosed:
            _log.info("the predecessor has handed everything over")
        finally:
            self._channel.close()


class Offer:
    """This process's offer to be taken over from, at a path in the file system that its user alone can reach."""

    def __init__(self, path: str, sockets: Callable[[], list[socket.socket]]) -> None:
        """`sockets` returns duplicates of the listening sockets. Raises UnavailableError if `path` cannot be bound."""
        self._path = _checked(path).path
        self._sockets = sockets
        self._listening = self._bind()
        self._is_taken = False

    def _bind(self) -> socket.socket:
        new = f"{self._path}.new"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            if os.path.lexists(new):
                os.unlink(new)
            listening.bind(new)
            # Whoever connects is given the listening sockets.
            os.chmod(new, 0o600)
            listening.listen(1)
            # The name passes from the predecessor to us at one stroke: there is somebody at it at any time.
            os.rename(new, self._path)
        except OSError as error:
            listening.close()
            raise UnavailableError(f"--hot-restart: cannot listen on {self._path}: {error.strerror}") from error
        return listening

    async def accepted(self) -> Successor:
        """Return the successor that has come and says that it serves; those that end before are forgotten."""
        loop = asyncio.get_running_loop()
        while True:
            end, _ = await loop.sock_accept(self._listening)
            channel = Channel(end)
            try:
                await self._greet(channel)
                message, _ = await channel.receive()
                if json.loads(message).get("go"):
                    self._is_taken = True
                    self._listening.close()
                    return Successor(channel)
            except MeshError as error:
                _log.warning("a successor ended before it served; this process goes on", why=str(error))
            channel.close()

    async def _greet(self, channel: Channel) -> None:
        sockets = self._sockets()
        try:
            await channel.send(json.dumps({"hot_restart": VERSION}).encode(), sockets[:MAX_SOCKETS])
        finally:
            for one in sockets:
                one.close()

    def close(self) -> None:
        """Withdraw the offer. The path goes with it, unless a successor has it."""
        self._listening.close()
        if not self._is_taken:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                return


def _checked(path: str) -> UnixAddress:
    # Room for what the name has while it is bound.
    address = parse_address(f"unix:{path}.new", "--hot-restart")
    assert isinstance(address, UnixAddress)  # noqa: S101  # it says unix
    return UnixAddress(path)
