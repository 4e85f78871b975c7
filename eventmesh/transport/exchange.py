"""Exchanges that begin or end in this process: what a handler answers, and how a component sends.

Both travel through the engine like any other request: same routes, limits, counters and log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.core.actions import Action
from eventmesh.transport.stream import Stream

if TYPE_CHECKING:
    from eventmesh.core import Engine
    from eventmesh.core._core import Request, Response
    from eventmesh.core.actions import Headers

TEXT = ("content-type", "text/plain; charset=utf-8")


@frozen
class Reply:
    """The whole answer to a request; header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @staticmethod
    def text(status: int, body: str) -> Reply:
        """Return an answer that a person reads."""
        return Reply(status, (TEXT,), body.encode())


class ExchangeHandler(Protocol):
    """What stands behind a `Serve` route."""

    async def handle(self, request: Request) -> Reply:
        """Return the answer. Whatever this raises is logged, counted and answered 500."""
        ...


class Caller:
    """Sends requests of this process; one per engine."""

    def __init__(self, engine: Engine, clock: Clock, perform: Callable[[Iterable[Action]], None]) -> None:
        self._engine = engine
        self._now = clock.monotonic
        self._perform = perform
        self._waiting: dict[int, asyncio.Future[Response]] = {}
        self._streams: dict[int, Stream] = {}

    async def send(
        self,
        route_table: str,
        method: str,
        authority: str,
        path: str,
        headers: Headers = (),
        body: bytes = b"",
        *,
        timeout_s: float = 0.0,
        hold: bool = True,
        max_response_bytes: int = 1_048_576,
    ) -> Response:
        """Route a request by `route_table` and return how it ended; a failure is a `Response` with `error` set.

        `timeout_s` 0 leaves the route's own timeout. `hold=False` does not wait for an endpoint: `no_capacity` at
        once. Cancelling the caller gives the exchange up.
        """
        exchange, actions = self._engine.send(
            route_table,
            method,
            authority,
            path,
            headers,
            body,
            self._now(),
            timeout_s=timeout_s,
            hold=hold,
            max_response_bytes=max_response_bytes,
        )
        return await self._answer(exchange, actions)

    async def call(
        self,
        route_table: str,
        frame: bytes,
        *,
        timeout_s: float = 0.0,
        hold: bool = True,
        max_response_bytes: int = 1_048_576,
    ) -> Response:
        """Route a whole request of Bolt or Dubbo by `route_table`; as `send`. Raises ValueError when it is none."""
        exchange, actions = self._engine.call(
            route_table,
            frame,
            self._now(),
            timeout_s=timeout_s,
            hold=hold,
            max_response_bytes=max_response_bytes,
        )
        return await self._answer(exchange, actions)

    async def _answer(self, exchange: int, actions: Iterable[Action]) -> Response:
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[exchange] = answer
        try:
            self._perform(actions)
            return await answer
        except asyncio.CancelledError:
            self._perform(self._engine.cancel(exchange, self._now()))
            raise
        finally:
            self._waiting.pop(exchange, None)

    def open(
        self, route_table: str, method: str, authority: str, path: str, headers: Headers = (), *, hold: bool = True
    ) -> Stream:
        """Begin a request whose body, like its answer's, comes piece by piece; it has no time limit but its route's.

        Raises ValueError when something in the request cannot be sent.
        """
        exchange, actions = self._engine.open_stream(
            route_table, method, authority, path, headers, self._now(), hold=hold
        )
        stream = Stream(exchange, self._engine, self._now, self._perform, self._forget_stream)
        self._streams[exchange] = stream
        self._perform(actions)
        return stream

    def _forget_stream(self, exchange: int) -> None:
        self._streams.pop(exchange, None)

    def stream(self, exchange: int) -> Stream | None:
        """Return the open stream of `exchange`; the driver calls this for what it has to tell one."""
        return self._streams.get(exchange)

    def done(self, exchange: int, response: Response) -> None:
        """Wake the caller of `exchange`; the driver calls this for DONE."""
        stream = self._streams.pop(exchange, None)
        if stream is not None:
            stream.done(response)
            return
        answer = self._waiting.get(exchange)
        if answer is not None and not answer.done():
            answer.set_result(response)
