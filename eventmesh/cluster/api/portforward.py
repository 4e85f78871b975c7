"""`pods/portforward`: TCP connections to a pod, as streams of SPDY inside a WebSocket (kubectl 1.31 and later).

For each connection the client opens two streams that name the same request: one for data, one for what went wrong.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from eventmesh.base import log
from eventmesh.base.errors import MeshError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.api.paths import Target
from eventmesh.cluster.api.podhost import PodHost
from eventmesh.cluster.api.podstreams import CLOSE_S, MAX_MESSAGE_BYTES, require_websocket
from eventmesh.cluster.api.spdy import Data, Event, Opened, Pinged, Reset, SpdyConnection, SpdyError

_log = log.get("cluster.api.portforward")

PROTOCOL: Final = "SPDY/3.1+portforward.k8s.io"
MAX_CONNECTIONS: Final = 256
"""Connections at once over one port-forward: a browser opens six; each costs a socket here."""
MAX_QUEUED: Final = 32
"""Messages that wait for a pod that does not read; then the whole port-forward waits: SPDY has no windows here."""
COPY_BYTES: Final = 32 * 1024
_REFUSED_STREAM: Final = 3

Dial = Callable[[int], Awaitable[socket.socket]]


async def serve_port_forward(request: web.Request, target: Target, host: PodHost) -> web.StreamResponse:
    """Carry connections to the pod until the client leaves; raises ApiError before that begins."""
    require_websocket(request, (PROTOCOL,))
    websocket = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=MAX_MESSAGE_BYTES, timeout=CLOSE_S)
    await websocket.prepare(request)
    forward = PortForward(
        websocket.send_bytes, lambda port: host.dial(target.namespace, target.name, port), target.name
    )
    try:
        async for message in websocket:
            if message.type is WSMsgType.BINARY:
                await forward.received(message.data)
    except SpdyError as error:
        _log.warning("port-forward ended", pod=target.name, reason=error)
        await websocket.close(code=WSCloseCode.PROTOCOL_ERROR, message=str(error).encode())
    except ConnectionError:
        pass  # the client has gone, which is how a port-forward ends
    finally:
        await forward.stop()
    return websocket


@dataclass(slots=True)
class _Connection:
    """What the two streams of one request have said of it."""

    port: int = 0
    data: int = 0
    error: int = 0
    inlet: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(MAX_QUEUED))
    """What the client sends; nothing is its end."""
    task: asyncio.Task[None] | None = None


class PortForward:
    """The connections of one port-forward."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]], dial: Dial, pod: str) -> None:
        self._send = send
        self._dial = dial
        self._pod = pod
        self._spdy = SpdyConnection()
        self._connections: dict[str, _Connection] = {}
        self._by_data: dict[int, _Connection] = {}
        self._tasks = TaskGroup("portforward")

    async def received(self, data: bytes) -> None:
        """Do what the client's next bytes say; raises SpdyError when they say nothing."""
        for event in self._spdy.received(data):
            await self._take(event)

    async def stop(self) -> None:
        """Close every connection."""
        await self._tasks.stop()

    async def _take(self, event: Event) -> None:
        match event:
            case Opened():
                await self._opened(event)
            case Data(stream, data, is_last) if stream in self._by_data:
                inlet = self._by_data[stream].inlet
                if data:
                    await inlet.put(data)
                if is_last:
                    await inlet.put(b"")
            case Reset(stream) if stream in self._by_data:
                task = self._by_data[stream].task
                if task is not None:
                    task.cancel()
            case Pinged(number):
                await self._send(self._spdy.pong(number))
            case _:
                pass

    async def _opened(self, opened: Opened) -> None:
        kind, port = opened.headers.get("streamtype"), opened.headers.get("port", "")
        request = opened.headers.get("requestid", "")
        is_valid = kind in ("data", "error") and port.isascii() and port.isdigit() and 0 < int(port) < 65536
        if not is_valid or (request not in self._connections and len(self._connections) >= MAX_CONNECTIONS):
            await self._send(self._spdy.reset(opened.stream, _REFUSED_STREAM))
            return
        await self._send(self._spdy.reply(opened.stream))
        connection = self._connections.setdefault(request, _Connection())
        connection.port = int(port)
        if kind == "error":
            connection.error = opened.stream
        else:
            connection.data = opened.stream
            self._by_data[opened.stream] = connection
        if connection.data and connection.error and connection.task is None:
            connection.task = self._tasks.spawn(f"{self._pod}:{port}", self._carry(request, connection))

    async def _carry(self, request: str, connection: _Connection) -> None:
        problem = ""
        try:
            problem = await self._copy(connection)
        except (MeshError, OSError) as error:
            problem = f"error forwarding port {connection.port} to pod {self._pod}: {error}"
        finally:
            self._connections.pop(request, None)
            self._by_data.pop(connection.data, None)
            # Whoever still waits for room in it sends to nobody.
            while not connection.inlet.empty():
                connection.inlet.get_nowait()
        with suppress(ConnectionError):
            await self._send(self._spdy.data(connection.error, problem.encode(), is_last=True))
            await self._send(self._spdy.data(connection.data, b"", is_last=True))

    async def _copy(self, connection: _Connection) -> str:
        """Carry bytes both ways until the pod says no more."""
        reader, writer = await asyncio.open_connection(sock=await self._dial(connection.port))
        upward = self._tasks.spawn("upward", _drain(connection.inlet, writer))
        try:
            while data := await reader.read(COPY_BYTES):
                await self._send(self._spdy.data(connection.data, data))
        finally:
            writer.transport.abort()
            upward.cancel()
            await asyncio.gather(upward, return_exceptions=True)
        return ""


async def _drain(inlet: asyncio.Queue[bytes], writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await inlet.get():
            writer.write(data)
            await writer.drain()
        writer.write_eof()
