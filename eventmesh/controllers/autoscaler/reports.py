"""The port that activators report to: `POST /stats` with `WireStatMessages`, or a WebSocket with frames of them.

The WebSocket is that of Knative's autoscaler (pkg/autoscaler/statserver), at any path; Knative's own activator uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from eventmesh.autoscale.stat import MAX_REPORT_BYTES, Stat, StatError, decode_messages
from eventmesh.base import log
from eventmesh.base.errors import UnavailableError
from eventmesh.kube.objects import Key

_log = log.get("controllers.autoscaler.reports")

MAX_SOCKETS: Final = 256
"""Activators connected at a time: more than any cluster runs; each costs a few kilobytes."""

Report = Callable[[Key, Stat], None]


class ReportServer:
    """Takes reports in and hands each message on, in order, before it answers."""

    def __init__(self, host: str, port: int, report: Report) -> None:
        self._host = host
        self._port = port
        self._report = report
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self.address: tuple[str, int] = (host, port)
        """Where it listens; the port is known after `start` when 0 was asked for."""

    async def start(self) -> None:
        """Listen; raises UnavailableError naming the address when it is taken."""
        app = web.Application(client_max_size=MAX_REPORT_BYTES)
        app.router.add_post("/stats", self._stats)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/{anywhere:.*}", self._socket)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            raise UnavailableError(f"autoscaler address {self._host}:{self._port}: {error.strerror}") from error
        host, port = self._runner.addresses[0][:2]
        self.address = (host, port)

    async def stop(self) -> None:
        """Stop listening; who is connected is told to come again."""
        # First nobody new: who is told to come again does so at once.
        for site in list(self._runner.sites) if self._runner is not None else ():
            await site.stop()
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.SERVICE_RESTART, message=b"Restarting")
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _stats(self, request: web.Request) -> web.Response:
        problem = self._take(await request.read(), request.remote)
        return web.Response(status=400, text=f"{problem}\n") if problem else web.Response(status=204)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=MAX_REPORT_BYTES, compress=False)
        if not socket.can_prepare(request):
            # The kubelet asks `/` whether it is up; anybody else is told what this port is for.
            is_probe = request.headers.get("User-Agent", "").startswith("kube-probe/")
            return web.Response(status=200 if is_probe else 426, text="load reports by WebSocket, or POST /stats\n")
        if len(self._sockets) >= MAX_SOCKETS:
            _log.warning("connection refused", peer=request.remote, limit=MAX_SOCKETS)
            return web.Response(status=503, text=f"{MAX_SOCKETS} activators are connected\n")
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            async for frame in socket:
                # A frame that is no report is dropped, and the next may be one; Knative does the same.
                if frame.type is WSMsgType.BINARY:
                    self._take(frame.data, request.remote)
                else:
                    _log.warning("report refused", peer=request.remote, reason=f"a frame of type {frame.type.name}")
        finally:
            self._sockets.discard(socket)
        return socket

    def _take(self, report: bytes, peer: str | None) -> str:
        """Hand on each message; return what is wrong with the report, and then nothing of it counts."""
        try:
            messages = decode_messages(report)
        except StatError as error:
            _log.warning("report refused", peer=peer, reason=error)
            return f"not WireStatMessages: {error}"
        for message in messages:
            self._report(Key(message.namespace, message.name), message.stat)
        return ""

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")
