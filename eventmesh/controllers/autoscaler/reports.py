"""The port that activators report to: `POST /stats` with `WireStatMessages` (Knative sends them by websocket)."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from eventmesh.autoscale.stat import MAX_REPORT_BYTES, Stat, StatError, decode_messages
from eventmesh.base import log
from eventmesh.base.errors import UnavailableError
from eventmesh.kube.objects import Key

_log = log.get("controllers.autoscaler.reports")

Report = Callable[[Key, Stat], None]


class ReportServer:
    """Takes reports in and hands each message on, in order, before it answers."""

    def __init__(self, host: str, port: int, report: Report) -> None:
        self._host = host
        self._port = port
        self._report = report
        self._runner: web.AppRunner | None = None
        self.address: tuple[str, int] = (host, port)
        """Where it listens; the port is known after `start` when 0 was asked for."""

    async def start(self) -> None:
        """Listen; raises UnavailableError naming the address when it is taken."""
        app = web.Application(client_max_size=MAX_REPORT_BYTES)
        app.router.add_post("/stats", self._stats)
        app.router.add_get("/healthz", self._healthz)
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
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _stats(self, request: web.Request) -> web.Response:
        try:
            messages = decode_messages(await request.read())
        except StatError as error:
            _log.warning("report refused", peer=request.remote, reason=error)
            return web.Response(status=400, text=f"not WireStatMessages: {error}\n")
        for message in messages:
            self._report(Key(message.namespace, message.name), message.stat)
        return web.Response(status=204)

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")
