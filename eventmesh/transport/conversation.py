"""Conversations: requests that a handler of this process answers while they come, both bodies piece by piece.

What `exchange` is for whole requests and `stream` for those that begin here. `grpc_service` speaks gRPC over one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from eventmesh.base.errors import MeshError
from eventmesh.base.tasks import TaskGroup
from eventmesh.core.actions import CONVERSE, ENDED, Action, ConversationAction

if TYPE_CHECKING:
    from eventmesh.core import Engine
    from eventmesh.core._core import Request
    from eventmesh.core.actions import Headers

PIECE_BYTES: Final = 16_384
"""Most that is given to the engine at a time, a frame of HTTP/2: an answer has this under way a few times over, however
long it is and however slowly it is read, and what the kernel takes. With 64 KiB a crowd of 500 clients left the heap
with holes of 70 KiB for each of them."""


OnLeft = Callable[[int], object]
"""Is told how many more bytes have left."""


TURN_BYTES: Final = 4 * PIECE_BYTES
"""Most that one answer sends in one turn of the loop: in a crowd a turn is long, and with one piece a turn a reader
that is quick looked as slow as we are."""


class ConversationOver(MeshError):
    """The client has given its request up, or its connection has ended: nobody hears what is said."""


class Conversation:
    """One request and its answer. One task may write while another reads."""

    __slots__ = (
        "_engine",
        "_exchange",
        "_moved",
        "_now",
        "_perform",
        "_pieces",
        "_request_ended",
        "_room",
        "is_over",
        "request",
    )

    def __init__(
        self,
        exchange: int,
        request: Request,
        engine: Engine,
        now: Callable[[], float],
        perform: Callable[[Iterable[Action]], None],
    ) -> None:
        self.request = request
        """Its head; the body comes by `read`."""
        self.is_over = False
        """Nothing more can be said: it is finished, or the client has gone."""
        self._exchange = exchange
        self._engine = engine
        self._now = now
        self._perform = perform
        # Futures and a list, made when they are needed: an idle conversation is one of ten thousand.
        self._pieces: list[bytes] = []
        self._request_ended = False
        self._moved: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """Return what has come of the request's body since the last call, b"" after its end.

        Raises ConversationOver when it will not come whole.
        """
        while not self._pieces:
            if self.is_over:
                raise ConversationOver("the client has gone")
            if self._request_ended:
                return b""
            self._moved = asyncio.get_running_loop().create_future()
            await self._moved
        data = b"".join(self._pieces)
        self._pieces = []
        if not self.is_over:
            self._perform(self._engine.took(self._exchange, len(data), self._now()))
        return data

    def begin(self, status: int, headers: Headers = ()) -> None:
        """Begin to answer. Raises ValueError for what cannot be sent; nothing has been said then."""
        self._perform(self._engine.begin_answer(self._exchange, status, headers, self._now()))

    async def write(self, data: bytes, on_left: OnLeft | None = None) -> None:
        """Send more of the answer; return when it has left: the client's windows and the transport's buffer took it.

        `on_left` is told of a long one as it goes. Raises ConversationOver when the client has gone.
        """
        for at in range(0, len(data), PIECE_BYTES):
            piece = data[at : at + PIECE_BYTES]
            await self._feed(piece)
            if (at + PIECE_BYTES) % TURN_BYTES == 0:
                # After this turn of the loop the transport has said whether it could write all of it.
                await asyncio.sleep(0)
            if on_left is not None:
                on_left(len(piece))
        if len(data) > PIECE_BYTES:
            await asyncio.sleep(0)
            await self._feed(b"")

    async def _feed(self, piece: bytes) -> None:
        if self.is_over:
            raise ConversationOver("the client has gone")
        has_left, actions = self._engine.feed(self._exchange, piece, False, self._now())
        room = None
        if not has_left:
            room = self._room = asyncio.get_running_loop().create_future()
        self._perform(actions)
        if room is not None:
            await room
            if self.is_over:
                raise ConversationOver("the client has gone")

    def finish(self, trailers: Headers = ()) -> None:
        """End the answer, whether or not the request has come whole. Raises ValueError for what cannot be sent."""
        if not self.is_over:
            actions = self._engine.finish_answer(self._exchange, trailers, self._now())
            self.gone()
            self._perform(actions)

    def hang_up(self) -> None:
        """Reset the connection it came on, with whatever is under way there: its client does not read, and what it was
        sent would stay in memory until it does."""
        if not self.is_over:
            self.gone()
            self._perform(self._engine.hang_up(self._exchange, self._now()))

    # What the driver tells

    def piece(self, data: bytes) -> None:
        """The request goes on. The window bounds what waits here: its credit comes back with `read`."""
        self._pieces.append(data)
        self._wake()

    def ended(self) -> None:
        """The request has come whole."""
        self._request_ended = True
        self._wake()

    def room(self) -> None:
        """All that was written has left."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def gone(self) -> None:
        """Nobody hears it any more."""
        self.is_over = True
        self._wake()
        self.room()

    def _wake(self) -> None:
        moved, self._moved = self._moved, None
        if moved is not None and not moved.done():
            moved.set_result(None)


class ConversationHandler(Protocol):
    """What stands behind a `Converse` route."""

    async def converse(self, conversation: Conversation) -> None:
        """Answer. What this raises is logged and counted; an answer that it leaves unfinished breaks off."""
        ...


class _Nobody:
    """Answers where a handler should be."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def converse(self, conversation: Conversation) -> None:
        conversation.begin(501)
        await conversation.write(f"this process has no handler {self._name}\n".encode())
        conversation.finish()


class Conversations:
    """Those that are held now, by the engine's number."""

    def __init__(
        self,
        engine: Engine,
        now: Callable[[], float],
        perform: Callable[[Iterable[Action]], None],
        count_bug: Callable[[BaseException], None],
    ) -> None:
        self._engine = engine
        self._now = now
        self._perform = perform
        self._count_bug = count_bug
        self.handlers: Mapping[str, ConversationHandler] = {}
        """By the names that routes give them."""
        self._held: dict[int, Conversation] = {}
        self._tasks = TaskGroup("transport.conversation")

    def told(self, action: ConversationAction) -> None:
        """Do what the engine orders; what concerns a conversation that is over here is nobody's."""
        if action[0] == CONVERSE:
            self._begin(*action[1:])
            return
        conversation = self._held.get(action[1])
        if conversation is None:
            return
        if action[0] == ENDED:
            conversation.ended()
        else:
            conversation.gone()

    def _begin(self, exchange: int, name: str, request: Request) -> None:
        handler = self.handlers.get(name) or _Nobody(name)
        one = self._held[exchange] = Conversation(exchange, request, self._engine, self._now, self._perform)
        self._tasks.spawn(name, self._run(exchange, one, handler))

    async def _run(self, exchange: int, conversation: Conversation, handler: ConversationHandler) -> None:
        try:
            await handler.converse(conversation)
        except ConversationOver:
            pass  # that it is over was told already
        except Exception as error:
            self._count_bug(error)
        finally:
            # An answer that was not finished must not look whole.
            conversation.hang_up()
            self._held.pop(exchange, None)

    def of(self, exchange: int) -> Conversation | None:
        """Return the one of this number; None: it is over."""
        return self._held.get(exchange)

    async def stop(self) -> None:
        """Break all off."""
        await self._tasks.stop()
