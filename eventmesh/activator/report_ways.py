"""How load reports reach the autoscaler: posted to ours, or over Knative's WebSocket, which ours takes as well.

Knative (pkg/activator/stat_reporter.go, pkg/websocket): one connection, a binary frame of `WireStatMessages` each time.
"""

from __future__ import annotations

from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp

from eventmesh.base import log
from eventmesh.base.errors import ConfigError
from eventmesh.base.tasks import TaskGroup
from eventmesh.transport.exchange import Caller

TIMEOUT_S: Final = 2.0
"""A report that takes longer is worthless: the next one is on its way."""

PING_S: Final = 3.3
"""Between two pings (Knative's third of its ten seconds): a connection that a machine forgot is noticed."""

NAME: Final = "autoscaler"
"""Route table and cluster through which reports are posted."""

OVER_HTTP: Final = "http"
OVER_WEBSOCKET: Final = ("ws", "wss")

_log = log.get("activator.report_ways")


class ReportWay(Protocol):
    """Where reports go."""

    async def send(self, report: bytes) -> str:
        """Send one report; return what went wrong, empty when nothing did."""
        ...

    async def close(self) -> None:
        """Let go of what was opened."""
        ...


def scheme_of(url: str) -> str:
    """Return how reports are to go to `url`; raises ConfigError for a URL that names no way."""
    parts = urlsplit(url)
    if parts.scheme not in (OVER_HTTP, *OVER_WEBSOCKET) or not parts.hostname:
        raise ConfigError("--autoscaler", f"must be http://host:port/stats, or ws://host:port, not {url!r}")
    return parts.scheme


def way_to(url: str, caller: Caller) -> ReportWay:
    """Return the way to the autoscaler at `url`; raises ConfigError."""
    return WebSocketWay(url) if scheme_of(url) in OVER_WEBSOCKET else PostWay(url, caller)


class PostWay:
    """Each report is a POST through this process's engine."""

    def __init__(self, url: str, caller: Caller) -> None:
        parts = urlsplit(url)
        self._authority = parts.netloc
        self._path = parts.path or "/"
        self._caller = caller

    async def send(self, report: bytes) -> str:
        """Send one report."""
        headers = [("content-type", "application/protobuf")]
        response = await self._caller.send(
            NAME, "POST", self._authority, self._path, headers, report, timeout_s=TIMEOUT_S, hold=False
        )
        if response.error:
            return response.error
        return "" if response.status < 300 else f"answered {response.status}"

    async def close(self) -> None:
        """Nothing is open."""


class WebSocketWay:
    """Each report is a frame of one connection, made when there is something to send and made anew when it is lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._tasks = TaskGroup("autoscaler socket")

    async def send(self, report: bytes) -> str:
        """Send one report. One whose connection turns out to be lost is sent once more, over another."""
        problem = ""
        for _ in range(2):
            try:
                socket = self._socket if self._socket is not None and not self._socket.closed else await self._connect()
                await socket.send_bytes(report)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                problem, self._socket = str(error) or type(error).__name__, None
            else:
                return ""
        return problem

    async def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            await self._socket.close()
        await self._tasks.stop()
        if self._session is not None:
            await self._session.close()

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        if self._session is None:
            # Its own limits hold for a connection that lives as long as the process; only getting there is bounded.
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S))
        made = await self._session.ws_connect(self._url, heartbeat=PING_S, compress=0)
        self._socket = made
        self._tasks.spawn("read", self._read(made))
        return made

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Answer pings, and see the end: an autoscaler that restarts says so (1012)."""
        async for _ in socket:
            pass
        _log.debug("autoscaler closed the connection", code=socket.close_code)
