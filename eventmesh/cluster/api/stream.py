"""A watch over HTTP: one JSON event a line, each sent at once, bookmarks in between, an end in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from eventmesh.cluster.api import errors
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.errors import status_of
from eventmesh.cluster.api.paths import WatchOptions
from eventmesh.cluster.api.replies import encode
from eventmesh.cluster.api.watching import ObjectWatch, bookmark
from eventmesh.cluster.store.store import Store, WatchOverflowError
from eventmesh.kube.api import EventType, Object, WatchEvent

BOOKMARK_EVERY_S = 60.0
"""The API server's own pace: a client that reconnects has missed a minute at most."""
MAX_BATCH_EVENTS = 256
"""Events that wait together leave in one write; more would only make the first of them wait."""


class WatchStream:
    """Sends the events of one watch."""

    def __init__(
        self,
        watch: ObjectWatch,
        served: Served,
        store: Store,
        options: WatchOptions,
        shown: Callable[[Object], Object],
    ) -> None:
        self._watch = watch
        self._served = served
        self._store = store
        self._options = options
        self._shown = shown

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Send until the time is up, the client leaves or falls too far behind."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            await self._send_events(response)
            await response.write_eof()
        except ConnectionError:
            pass  # the client has gone, which is how most watches end
        finally:
            self._watch.close()
        return response

    async def _send_events(self, response: web.StreamResponse) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._options.timeout_s
        while (left := end - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, BOOKMARK_EVERY_S)):
                    events = [await self._watch.next()]
            except TimeoutError:
                events = [self._bookmark()]
            except WatchOverflowError as error:
                expired = errors.expired(str(error))
                await response.write(encode({"type": "ERROR", "object": status_of(expired)}))
                return
            while len(events) < MAX_BATCH_EVENTS and (event := self._watch.poll()) is not None:
                events.append(event)
            data = b"".join(encode(self._line(event)) for event in events if self._is_wanted(event))
            if data:
                await response.write(data)

    def _bookmark(self) -> WatchEvent:
        resource = self._served.resource
        return bookmark(resource.kind, resource.api_version, self._store.revision)

    def _is_wanted(self, event: WatchEvent) -> bool:
        return event.type is not EventType.BOOKMARK or self._options.bookmarks

    def _line(self, event: WatchEvent) -> Object:
        if event.type is EventType.BOOKMARK:
            return {"type": event.type.value, "object": event.object}
        return {"type": event.type.value, "object": self._shown(event.object)}
