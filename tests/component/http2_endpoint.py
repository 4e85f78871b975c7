"""An endpoint that speaks HTTP/2: it answers paths with bodies, as fast as the windows of who asks let it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, RequestReceived, StreamReset
from h2.settings import SettingCodes

STREAMS = 128
"""As many at once on a connection as nginx takes."""


class Http2Endpoint:
    """Counts who asks for one of its bodies; everything else is answered `polite`."""

    def __init__(self, bodies: Mapping[bytes, bytes]) -> None:
        self.asked = 0
        self._bodies = bodies
        self._transports: set[asyncio.Transport] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve until the block ends; give the address."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Conversation(self), "127.0.0.1", 0, backlog=1024)
        try:
            yield "{}:{}".format(*server.sockets[0].getsockname())
        finally:
            server.close()
            for transport in list(self._transports):
                transport.abort()

    def answer(self, path: bytes) -> bytes:
        """Return the body of `path`, and count it."""
        self.asked += path in self._bodies
        return self._bodies.get(path, b"polite")

    def joined(self, transport: asyncio.Transport) -> None:
        """One more connection."""
        self._transports.add(transport)

    def left(self, transport: asyncio.Transport) -> None:
        """One less."""
        self._transports.discard(transport)


class _Conversation(asyncio.Protocol):
    def __init__(self, endpoint: Http2Endpoint) -> None:
        self._endpoint = endpoint
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._left: dict[int, memoryview] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._endpoint.joined(self._transport)
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS})

    def connection_lost(self, _exc: Exception | None) -> None:
        self._endpoint.left(self._transport)

    def data_received(self, data: bytes) -> None:
        begun: dict[int, bytes] = {}
        for event in self._h2.receive_data(data):
            match event:
                case RequestReceived(stream_id=int(stream), headers=list(fields)):
                    begun[stream] = self._endpoint.answer(dict(fields)[b":path"])
                case StreamReset(stream_id=int(stream)):
                    # It can come with its request.
                    begun.pop(stream, None)
                    self._left.pop(stream, None)
                case ConnectionTerminated():
                    self._transport.close()
                    return
        for stream, body in begun.items():
            self._h2.send_headers(stream, [(b":status", b"200")])
            self._left[stream] = memoryview(body)
        self._send()
        self._transport.write(self._h2.data_to_send())

    def _send(self) -> None:
        """Send what the windows allow, one frame a stream in turn."""
        turn = deque(self._left)
        while turn:
            stream = turn.popleft()
            left = self._left[stream]
            frame = min(len(left), self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if frame <= 0:
                continue
            self._left[stream] = left[frame:]
            self._h2.send_data(stream, bytes(left[:frame]), end_stream=frame == len(left))
            if frame == len(left):
                del self._left[stream]
            else:
                turn.append(stream)
