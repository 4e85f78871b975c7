"""One process takes over from another: listening sockets first, then the clients' connections one by one.

The two may be of different versions, so what they say is JSON and little: the one that serves answers whoever connects
to its unix socket with its listening sockets; the other says `go` once it serves them too, and is sent each connection
as soon as nothing is under way on it. What ends before `go` changes nothing. Either may be one process or the
supervisor of several. What an earlier version does not know (`more`, `limits`, `counted`) it neither says nor asks for.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import Final, Protocol

from eventmesh.base import log
from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.dataplane.figures import Figures, from_document, to_document
from eventmesh.dataplane.shared_limits import SharedLimits
from eventmesh.transport.address import UnixAddress, parse_address
from eventmesh.transport.channel import MAX_SOCKETS, Channel, ChannelClosed, Taker
from eventmesh.transport.inherited import Inherited

_log = log.get("dataplane.hot_restart")

VERSION: Final = 1
"""Of what the two processes say."""

PATIENCE_S: Final = 30.0
"""A predecessor that says nothing for so long is stuck; the new process then does not start."""

_NOT_OURS: Final = (AttributeError, TypeError, ValueError)
"""What comes of reading what somebody says who is none of us."""


class Served(Protocol):
    """What goes from one process to the next: a data plane, or several workers as one."""

    def listening_sockets(self) -> list[socket.socket]:
        """Return a duplicate of every listening socket, the caller's to close."""
        ...

    async def adopt(self, address: str, connection: socket.socket) -> None:
        """Go on to serve a connection that a predecessor accepted at `address`."""

    async def hand_over(self, take: Taker, longest_s: float) -> object:
        """Give everything that can move to `take`, and return when the rest has ended."""

    async def counted(self) -> Figures:
        """Return what a successor goes on to count from."""
        ...

    def count_on(self, before: Figures) -> None:
        """Go on from what a predecessor has counted."""

    async def until_live(self) -> None:
        """Return when the configuration is whole."""


class Successor:
    """The process that takes over, as its predecessor sees it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def give(self, address: str, connection: socket.socket) -> None:
        """Send it a connection that was accepted at `address`. Raises ChannelClosed when it has gone."""
        await self._channel.send(json.dumps({"accepted_at": address}).encode(), [connection])

    async def tell_counted(self, figures: Figures) -> None:
        """Tell it what has been counted by now. Raises ChannelClosed when it has gone."""
        await self._channel.send(json.dumps({"counted": to_document(figures)}).encode())

    def close(self) -> None:
        """Say that there is no more."""
        self._channel.close()


class Predecessor:
    """The process that is taken over from, as its successor sees it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.inherited = Inherited()
        """Its listening sockets."""
        self.limits: SharedLimits | None = None
        """What its rate limits hold, if it tells."""
        self._counted: object = None

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
        found = cls(channel)
        try:
            async with asyncio.timeout(PATIENCE_S):
                spoken = await found._be_greeted()
        except (ChannelClosed, TimeoutError, *_NOT_OURS) as error:
            channel.close()
            raise UnavailableError(f"--hot-restart: the process at {path} does not hand over: {error}") from error
        if spoken != VERSION:
            channel.close()
            raise UnavailableError(f"--hot-restart: the process at {path} speaks version {spoken!r}, not {VERSION}")
        return found

    async def _be_greeted(self) -> object:
        """Take in what there is before this process serves; return the version that is spoken."""
        message, sockets = await self._channel.receive()
        said = json.loads(message)
        spoken: object = said.get("hot_restart")
        if spoken == VERSION:
            for _ in range(int(said.get("more", 0))):
                sockets += (await self._channel.receive())[1]
            self.inherited = Inherited(sockets)
            self._counted = said.get("counted")
            if said.get("limits"):
                await self._channel.send(b'{"limits": true}')
                _, (descriptor,) = await self._channel.receive_descriptors()
                self.limits = SharedLimits(descriptor)
        return spoken

    def count_on(self, served: Served) -> None:
        """Have `served` go on from what this predecessor has counted, as far as it has said and can be understood."""
        if self._counted is None:
            return
        try:
            served.count_on(from_document(self._counted))
        except ValueError as error:
            _log.warning("what the predecessor has counted is not understood", why=str(error))

    async def take_over(self, served: Served) -> None:
        """Say that `served` serves, and have it adopt every connection that comes, until there are no more.

        The listening sockets that nobody has asked for are closed.
        """
        await self._channel.send(b'{"go": true}')
        self.inherited.replace(())
        try:
            while True:
                message, sockets = await self._channel.receive()
                said = json.loads(message)
                if "counted" in said:
                    self._counted = said["counted"]
                    self.count_on(served)
                for connection in sockets:
                    await served.adopt(str(said.get("accepted_at", "")), connection)
        except ChannelClosed:
            _log.info("the predecessor has handed everything over")
        finally:
            self._channel.close()


class Offer:
    """This process's offer to be taken over from, at a path in the file system that its user alone can reach."""

    def __init__(self, path: str, served: Served, limits: SharedLimits) -> None:
        """Raises UnavailableError if `path` cannot be bound."""
        self._path = _checked(path).path
        self._served = served
        self._limits = limits
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
                if await self._is_told_to_go(channel):
                    self._is_taken = True
                    self._listening.close()
                    return Successor(channel)
            except (MeshError, *_NOT_OURS) as error:
                _log.warning("a successor ended before it served; this process goes on", why=str(error))
            channel.close()

    async def _is_told_to_go(self, channel: Channel) -> bool:
        said = json.loads((await channel.receive())[0])
        if said.get("limits"):
            await channel.send(b'{"limits": true}', [self._limits.descriptor])
            said = json.loads((await channel.receive())[0])
        return bool(said.get("go"))

    async def _greet(self, channel: Channel) -> None:
        counted = to_document(await self._served.counted())
        sockets = self._served.listening_sockets()
        first, *rest = [sockets[at : at + MAX_SOCKETS] for at in range(0, max(len(sockets), 1), MAX_SOCKETS)]
        said = {"hot_restart": VERSION, "more": len(rest), "limits": True, "counted": counted}
        try:
            await channel.send(json.dumps(said).encode(), first)
            for batch in rest:
                await channel.send(b"{}", batch)
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
