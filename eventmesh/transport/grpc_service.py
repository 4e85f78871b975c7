"""gRPC services of this process: calls that come in over conversations of the engine, messages both ways.

The other end of `grpc_call`. Source: grpc/grpc doc/PROTOCOL-HTTP2.md, doc/compression.md.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from eventmesh.base import log
from eventmesh.protocols.grpc import CONTENT_TYPE, CallFailed, Code, MessageReader, Status, is_grpc, prefix
from eventmesh.transport.conversation import PIECE_BYTES, Conversation, ConversationOver, OnLeft

_log = log.get("transport.grpc_service")

_HEAD: Final = (("content-type", CONTENT_TYPE), ("grpc-accept-encoding", "identity"))
_NOTHING: Final[deque[bytes]] = deque()
"""Of calls whose messages have all been received. Never changed."""


class ServedCall:
    """One call; messages are bytes. One task may send while another receives."""

    __slots__ = ("_begun", "_conversation", "_messages", "_reader")

    def __init__(self, conversation: Conversation, max_message_bytes: int) -> None:
        self._conversation = conversation
        self._reader = MessageReader(max_message_bytes)
        self._messages = _NOTHING
        self._begun = False

    @property
    def peer(self) -> str:
        """Return the address of the client."""
        return self._conversation.request.peer

    @property
    def peer_names(self) -> list[str]:
        """Return the names in the certificate that the client has shown; none: it has come without TLS."""
        return self._conversation.request.peer_names

    @property
    def metadata(self) -> Mapping[str, str]:
        """Return what the client has said before its first message, by name in lower case."""
        return dict(self._conversation.request.headers)

    async def receive(self) -> bytes | None:
        """Return the next message; None when the client has said everything.

        Raises CallFailed for what is no message or too long, ConversationOver when the client has gone.
        """
        while not self._messages:
            data = await self._conversation.read()
            if not data:
                self._reader.end()
                return None
            self._messages = deque(self._reader.feed(data))
        message = self._messages.popleft()
        if not self._messages:
            self._messages = _NOTHING
        return message

    async def send(self, *parts: bytes, on_left: OnLeft | None = None) -> None:
        """Send a message that `parts` are in this order; return when it has left. Calls may share large parts.

        `on_left` is told of a long one as it goes. Raises ConversationOver when the client has gone.
        """
        self.begin()
        length = sum(map(len, parts))
        head = prefix(length)
        if length <= PIECE_BYTES:
            await self._conversation.write(b"".join((head, *parts)))
            return
        for part in (head, *parts):
            await self._conversation.write(part, on_left)

    def begin(self) -> None:
        """Begin to answer, if that has not been done."""
        if not self._begun:
            self._begun = True
            self._conversation.begin(200, _HEAD)

    def end(self, status: Status) -> None:
        """End the answer; what is still being sent breaks off."""
        self.begin()
        self._conversation.finish(status.trailers())

    def hang_up(self) -> None:
        """Reset the client's connection, with whatever is under way on it."""
        self._conversation.hang_up()


Method = Callable[[ServedCall], Awaitable[None]]
"""Serves a call: returns when it ends well, and raises CallFailed for any other end."""


class GrpcService:
    """The `ConversationHandler` of some methods."""

    def __init__(self, methods: Mapping[str, Method], max_message_bytes: int) -> None:
        """`methods` are called by their paths (`/package.Service/Method`)."""
        self._methods = methods
        self._max_message_bytes = max_message_bytes

    async def converse(self, conversation: Conversation) -> None:
        """Serve one call, whatever it is."""
        request = conversation.request
        call = ServedCall(conversation, self._max_message_bytes)
        if request.method != "POST" or not is_grpc(call.metadata.get("content-type", "")):
            conversation.begin(415, (("content-type", "text/plain; charset=utf-8"),))
            await conversation.write(f"only calls of gRPC are served here: POST, {CONTENT_TYPE}\n".encode())
            conversation.finish()
            return
        status = await self._served(call, request.path, call.metadata.get("grpc-encoding", "identity"))
        call.end(status)

    async def _served(self, call: ServedCall, path: str, encoding: str) -> Status:
        method = self._methods.get(path)
        if method is None:
            return Status(Code.UNIMPLEMENTED, f"there is no method {path} here")
        if encoding != "identity":
            return Status(Code.UNIMPLEMENTED, f"messages encoded as {encoding!r} are not understood; send them plain")
        try:
            await method(call)
        except CallFailed as failed:
            return Status(failed.code, failed.message)
        except ConversationOver:
            raise
        except asyncio.CancelledError:
            # This process ends: the client hears so, and may turn to another.
            call.end(Status(Code.UNAVAILABLE, "the server is shutting down"))
            raise
        except Exception as error:
            _log.error("a call failed by a bug", method=path, peer=call.peer, exc_info=error)
            return Status(Code.INTERNAL, "internal error")
        return Status(Code.OK)
