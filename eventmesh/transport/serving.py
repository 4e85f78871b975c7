"""Requests that end in this process: each goes to what stands behind its route, and the answer to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from eventmesh.base.tasks import TaskGroup
from eventmesh.transport.exchange import ExchangeHandler, Reply
from eventmesh.transport.failures import Failures

if TYPE_CHECKING:
    from eventmesh.core import Engine
    from eventmesh.core._core import Request

MAX_SERVED: Final = 1_024
"""Requests that handlers of this process work on at once; one more is answered 503. Each may hold a body of 1 MiB."""

Tell = Callable[..., bool]
"""Tells the engine of something: an event of its own and what that takes; returns whether it took it without a bug."""


class Serving:
    """The handlers of one engine, and the requests that they work on."""

    def __init__(
        self, engine: Engine, handlers: Mapping[str, ExchangeHandler], tasks: TaskGroup, tell: Tell, failures: Failures
    ) -> None:
        """`handlers` is looked up at each request: what comes to it later is found."""
        self._engine = engine
        self._handlers = handlers
        self._tasks = tasks
        self._tell = tell
        self._failures = failures
        self.most = MAX_SERVED
        self._under_way = 0
        self._loop = asyncio.get_running_loop()

    def serve(self, exchange: int, handler: str, request: Request) -> None:
        """Have `handler` answer; the answer is given in a later turn of the loop."""
        known = self._handlers.get(handler)
        if known is None:
            self._loop.call_soon(self._reply, exchange, Reply.text(501, f"this process has no handler {handler}\n"))
        elif self._under_way >= self.most:
            self._failures.refused_requests += 1
            self._loop.call_soon(self._reply, exchange, Reply.text(503, "too many requests at once\n"))
        else:
            self._under_way += 1
            self._tasks.spawn(f"serve {handler}", self._run(exchange, known, request))

    async def _run(self, exchange: int, handler: ExchangeHandler, request: Request) -> None:
        try:
            reply = await handler.handle(request)
        except Exception as error:
            self._failures.bug(error, method=request.method, path=request.path)
            reply = Reply.text(500, "internal error\n")
        finally:
            self._under_way -= 1
        self._reply(exchange, reply)

    def _reply(self, exchange: int, reply: Reply) -> None:
        # An exchange that has ended meanwhile is unknown to the engine, which ignores the answer.
        if not self._tell(self._engine.reply, exchange, reply.status, reply.headers, reply.body):
            # What a handler made cannot be sent (a line break in a header): whoever asked still waits for an answer.
            failed = Reply.text(500, "internal error\n")
            self._tell(self._engine.reply, exchange, failed.status, failed.headers, failed.body)
