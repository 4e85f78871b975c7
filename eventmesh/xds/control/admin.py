"""The admin port of control: `/ready`, `/metrics`, and what `eventmesh control`, `routes` and `diff` ask.

It is meant for the loopback and for a port-forward: whoever reaches it may have certificates replaced.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web

from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.kube.api import Object
from eventmesh.xds.control.asked import Asked, headers_of
from eventmesh.xds.control.metrics import CONTENT_TYPE

MAX_BODY_BYTES = 4_194_304
"""Of the objects of a preview; a Kubernetes object is at most 1.5 MiB, and a file of many rarely as long as one."""

Json = dict[str, Any]


class Observed(Protocol):
    """What the admin port looks at."""

    def status(self) -> Json:
        """Return who is connected and how far each has come."""
        ...

    def metrics(self) -> str:
        """Return the counters as Prometheus text."""
        ...

    async def rotate(self, what: str) -> Json:
        """Have certificates or the root replaced; raises UsageError and UnavailableError."""
        ...

    def explain(self, role: str, namespace: str, asked: Asked) -> Json:
        """Return what a data plane would do with a request; raises UsageError."""
        ...

    def preview(self, objects: list[Object]) -> Json:
        """Return what a change of objects would push; raises UsageError."""
        ...


class AdminServer:
    """Serves the pages of one control process."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port; UnavailableError when it is taken."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_told])
        app.router.add_get("/ready", _ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/status", self._status)
        app.router.add_get("/routes", self._routes)
        app.router.add_post("/diff", self._diff)
        app.router.add_post("/rotate", self._rotate)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self.stop()
            raise UnavailableError(f"the admin port cannot listen on {host}:{port}: {error.strerror}") from error
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._observed.metrics().encode(), headers={"content-type": CONTENT_TYPE})

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self._observed.status())

    async def _routes(self, request: web.Request) -> web.Response:
        query = request.query
        headers = headers_of(query.getall("header", []))
        asked = Asked(query.get("host", ""), query.get("path", "/"), query.get("method", "GET"), headers)
        return web.json_response(self._observed.explain(query.get("as", "gateway"), query.get("namespace", ""), asked))

    async def _rotate(self, request: web.Request) -> web.Response:
        try:
            what = str(json.loads(await request.read())["what"])
        except (ValueError, KeyError, TypeError):
            return web.Response(status=400, text='write {"what": "certificates"} or {"what": "root"}\n')
        return web.json_response(await self._observed.rotate(what))

    async def _diff(self, request: web.Request) -> web.Response:
        try:
            objects = json.loads(await request.read())["objects"]
        except (ValueError, KeyError, TypeError):
            return web.Response(status=400, text='write {"objects": [...]}\n')
        return web.json_response(self._observed.preview(objects))


async def _ready(_: web.Request) -> web.Response:
    # The port is opened once the first publication is served.
    return web.Response(text="ready\n")


@web.middleware
async def _told(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer 400 with the words of an error that the asker can mend."""
    try:
        return await handler(request)
    except MeshError as error:
        return web.Response(status=400, text=f"{error}\n")
