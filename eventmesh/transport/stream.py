"""Streams of this process: exchanges whose two bodies come and go piece by piece, routed like any other request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.core.actions import Action

if TYPE_CHECKING:
    from eventmesh.core import Engine
    from eventmesh.core._core import Response
    from eventmesh.core.actions import Headers


class StreamBroken(MeshError):
    """A stream ended before its answer was whole; the caller may open another."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code
        """As in `Response.error`; `cancelled` when it was given up here."""


@frozen
class StreamHead:
    """How the answer to a stream begins."""

    status: int
    headers: Headers


class Stream:
    """One open exchange; made by `Caller.open`. One task may write while another reads."""

    def __init__(
        self,
        exchange: int,
        engine: Engine,
        now: Callable[[], float],
        perform: Callable[[Iterable[Action]], None],
        forget: Callable[[int], object],
    ) -> None:
        """`forget` is told of a stream that is given up."""
        self._exchange = exchange
        self._engine = engine
        self._now = now
        self._perform = perform
        self._forget = forget
        self._head: StreamHead | None = None
        self._pieces: deque[bytes] = deque()
        self._failure: StreamBroken | None = None
        self._is_over = False
        self._moved = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.trailers: Headers = ()
        """The fields after the answer's body, once that has ended."""

    async def head(self) -> StreamHead:
        """Return how the answer begins, once it does. Raises StreamBroken when none comes."""
        while self._head is None:
            if self._failure is not None:
                raise self._failure
            await self._move()
        return self._head

    async def read(self) -> bytes:
        """Return the next bytes of the answer, b"" after its end. Raises StreamBroken when it breaks off."""
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self._is_over:
                return b""
            await self._move()
        piece = self._pieces.popleft()
        if not self._is_over:
            self._perform(self._engine.took(self._exchange, len(piece), self._now()))
        return piece

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Send more of the request, with `end` the last of it; return when there is room for the next.

        What is written after the stream's end is lost, as on any broken connection: `read` says how it ended.
        """
        await self._room.wait()
        if self._is_over:
            return
        has_room, actions = self._engine.feed(self._exchange, data, end, self._now())
        if not has_room:
            self._room.clear()
        self._perform(actions)
        await self._room.wait()

    def cancel(self) -> None:
        """Give the stream up, if it has not ended: who waits for it gets StreamBroken."""
        if self._is_over:
            return
        self._forget(self._exchange)
        self._perform(self._engine.cancel(self._exchange, self._now()))
        self._fail(StreamBroken("cancelled"))

    async def _move(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    # What the driver tells

    def answered(self, status: int, headers: Headers) -> None:
        """The answer begins."""
        self._head = StreamHead(status, headers)
        self._moved.set()

    def piece(self, data: bytes) -> None:
        """It goes on. The window bounds what waits here: its credit comes back with `read`."""
        self._pieces.append(data)
        self._moved.set()

    def room(self) -> None:
        """The request may go on."""
        self._room.set()

    def done(self, response: Response) -> None:
        """The exchange has ended."""
        if response.error:
            self._fail(StreamBroken(response.error, response.body.decode(errors="replace")))
            return
        if self._head is not None:
            self.trailers = response.headers
        else:  # answered by the mesh itself, all at once
            self._head = StreamHead(response.status, response.headers)
            if response.body:
                self._pieces.append(response.body)
        self._end()

    def _fail(self, failure: StreamBroken) -> None:
        self._failure = failure
        self._end()

    def _end(self) -> None:
        self._is_over = True
        self._room.set()
        self._moved.set()
