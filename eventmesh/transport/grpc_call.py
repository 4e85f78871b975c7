"""A gRPC call of this process with messages both ways, over a stream of the engine: same routes, TLS and counters as
any request. A call with one message each way needs no more than `Caller.send` and `protocols.grpc`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from eventmesh import __version__
from eventmesh.protocols.grpc import CONTENT_TYPE, CallFailed, Code, MessageReader, Status, frame, refusal, status_in
from eventmesh.transport.stream import Stream, StreamBroken

if TYPE_CHECKING:
    from eventmesh.core.actions import Headers
    from eventmesh.transport.exchange import Caller

_FIELDS: Final = (("content-type", CONTENT_TYPE), ("te", "trailers"), ("user-agent", f"eventmesh/{__version__}"))

_BY_ERROR: Final = {"timeout": Code.DEADLINE_EXCEEDED, "protocol_error": Code.INTERNAL, "no_route": Code.UNIMPLEMENTED}
"""What our own end of a stream means in gRPC; every other one is UNAVAILABLE: it may be there later."""


class GrpcCall:
    """One call; messages are bytes. One task may send while another receives."""

    def __init__(self, stream: Stream, max_message_bytes: int) -> None:
        self._stream = stream
        self._reader = MessageReader(max_message_bytes)
        self._messages: deque[bytes] = deque()
        self._begun = False

    @classmethod
    def open(
        cls,
        caller: Caller,
        route_table: str,
        authority: str,
        method: str,
        metadata: Headers = (),
        *,
        max_message_bytes: int,
    ) -> GrpcCall:
        """Begin to call `method` (`/package.Service/Method`) at where `route_table` leads.

        Raises ValueError when authority or metadata cannot be sent; what happens on the way is told by `receive`.
        """
        stream = caller.open(route_table, "POST", authority, method, (*_FIELDS, *metadata))
        return cls(stream, max_message_bytes)

    async def send(self, message: bytes, *, last: bool = False) -> None:
        """Send a message; return when there is room for the next. After the end it is lost: `receive` says why."""
        await self._stream.write(frame(message), end=last)

    async def receive(self) -> bytes | None:
        """Return the next message; None when the call ended with status OK. Raises CallFailed for any other end."""
        try:
            while not self._messages:
                await self._begin()
                data = await self._stream.read()
                if not data:
                    self._status().check()
                    return None
                self._messages.extend(self._reader.feed(data))
        except StreamBroken as broken:
            raise CallFailed(_BY_ERROR.get(broken.code, Code.UNAVAILABLE), str(broken)) from broken
        return self._messages.popleft()

    async def _begin(self) -> None:
        if self._begun:
            return
        head = await self._stream.head()
        refused = refusal(head.status, head.headers)
        if refused is not None:
            refused.check()
        told = status_in(head.headers)
        if told is not None:
            told.check()
        self._begun = True

    def _status(self) -> Status:
        self._reader.end()
        told = status_in(self._stream.trailers)
        return told or Status(Code.INTERNAL, "the stream ended without grpc-status")

    def cancel(self) -> None:
        """Give the call up, if it has not ended."""
        self._stream.cancel()
