"""A worker as its supervisor sees it: a process, and the conversation with it."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

from eventmesh.dataplane.figures import Figures
from eventmesh.dataplane.worker import Terms
from eventmesh.dataplane.worker_messages import Message, Moved, Order, Question, decode, encode
from eventmesh.transport.channel import Channel, ChannelClosed, Taker


class WorkerProcess:
    """One process. Questions are answered in the order they are asked in."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.process = process
        self._channel = channel
        self._asked: deque[asyncio.Future[Message]] = deque()
        self.figures: Figures | None = None
        """What it said last that it has counted."""
        self.is_serving = False
        """It has a configuration in force."""

    @classmethod
    async def start(cls, terms: Terms) -> WorkerProcess:
        """Start one. Raises OSError when it cannot be started."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *terms.command(theirs),
                    pass_fds=(theirs.fileno(), terms.limits),
                    stdin=asyncio.subprocess.DEVNULL,
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, Channel(ours))

    async def ask(self, question: Question, sockets: Iterable[socket.socket] = ()) -> Message:
        """Return the answer, which passes by who has given the question up. Raises ChannelClosed when the worker dies
        first."""
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        try:
            await self._channel.send(encode(question), list(sockets))
        except BaseException:
            # Nobody will answer what was not asked: the next answer is that to the next question.
            with suppress(ValueError):
                self._asked.remove(answer)
            raise
        return await answer

    async def tell(self, order: Order, sockets: Sequence[socket.socket] = ()) -> None:
        """Have it do something that it does not answer. Raises ChannelClosed when it has died."""
        await self._channel.send(encode(order), sockets)

    async def listen(self, moved: Taker) -> None:
        """Take in answers, and pass on to `moved` the connections it gives up, until the worker is gone."""
        try:
            while True:
                data, sockets = await self._channel.receive()
                said = decode(data)
                if isinstance(said, Moved):
                    for one in sockets:
                        with one:
                            await moved(said.address, one)
                    continue
                if isinstance(said, Figures):
                    self.figures = said
                # Its last word comes unasked.
                if self._asked and not (answer := self._asked.popleft()).done():
                    answer.set_result(said)
        except ChannelClosed as gone:
            for answer in self._asked:
                if not answer.done():
                    answer.set_exception(gone)
            self._asked.clear()
        finally:
            self._channel.close()
