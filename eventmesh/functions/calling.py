"""From a request to the function it is for, and from what that returns to the answer. No sockets."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from eventmesh.base import log
from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import InvalidEvent
from eventmesh.functions.declared import Declared, Kind
from eventmesh.functions.events import Refused, for_function, from_function
from eventmesh.functions.messages import Call, Request, UnreadableBody, answer_to_bolt, answer_to_http, query_of
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core import _core

THREADS: Final = 32
"""Plain functions that run at once; more wait for a thread. As many as Python's own pool has on a large machine: a
function that computes gains nothing from more, and one that waits for others had better be a coroutine."""

HEALTH: Final = frozenset({"/health/liveness", "/health/readiness"})
"""Where health is asked: the paths of the `func` runtimes. A function of that path goes before."""

_log = log.get("functions")


class Functions:
    """The `ExchangeHandler` in front of the functions of one image."""

    def __init__(self, declared: Sequence[Declared]) -> None:
        self._paths = {one.path: one for one in declared if one.kind is not Kind.BOLT}
        self._methods = {(one.interface, one.method): one for one in declared if one.kind is Kind.BOLT}
        self._threads = ThreadPoolExecutor(THREADS, "function")

    async def handle(self, request: _core.Request) -> Reply:
        """Call the function that the request is for. What it raises is logged, and answered 500."""
        if request.protocol == "bolt":
            return await self._bolt(request)
        path, _, query = request.path.partition("?")
        found = self._paths.get(path)
        if found is None and path in HEALTH:
            return Reply.text(200, "OK\n")
        found = found or self._paths.get("/")
        if found is None:
            return Reply.text(404, f"no function at {path}; there are some at {', '.join(sorted(self._paths))}\n")
        if found.kind is Kind.EVENT:
            return await self._event(found, request)
        return await self._http(found, request, path, query)

    def close(self) -> None:
        """Start no more plain functions."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _event(self, found: Declared, request: _core.Request) -> Reply:
        if request.method != "POST":
            answer = Reply.text(405, "this function takes CloudEvents, one in each POST\n")
            return Reply(answer.status, (*answer.headers, ("allow", "POST")), answer.body)
        try:
            event = for_function(http.decode(request.headers, request.body))
        except InvalidEvent as error:
            return Reply.text(400, f"{error}\n")
        except http.UnsupportedFormat as error:
            return Reply.text(415, f"{error}\n")
        try:
            reply = from_function(await self._call(found, event))
        except Refused as error:
            _log.warning("event refused", function=found.name, id=event.get_id(), reason=error)
            return Reply.text(400, f"{found.name} refuses this event: {error}\n")
        except Exception as error:
            return _failed(found, error)
        if reply is None:
            return Reply(202)
        headers, body = http.encode_binary(reply)
        return Reply(200, tuple(headers), body)

    async def _http(self, found: Declared, request: _core.Request, path: str, query: str) -> Reply:
        if found.methods and request.method not in found.methods:
            return Reply(405, (("allow", ", ".join(sorted(found.methods))),))
        asked = Request(request.method, path, query_of(query), _joined(request.headers), request.body)
        try:
            answer = answer_to_http(await self._call(found, asked))
        except (UnreadableBody, UnicodeDecodeError) as error:
            return Reply.text(400, f"{error}\n")
        except Exception as error:
            return _failed(found, error)
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        return Reply(answer.status, tuple((name.lower(), value) for name, value in answer.headers.items()), body)

    async def _bolt(self, request: _core.Request) -> Reply:
        interface, method = request.authority, request.method
        found = self._methods.get((interface, method))
        if found is None:
            _log.warning("no function for this call", interface=interface, method=method)
            return Reply(404)
        try:
            result = await self._call(found, Call(interface, method, _joined(request.headers), request.body))
            return Reply(200, (), answer_to_bolt(result))
        except Exception as error:
            return _failed(found, error)

    async def _call(self, found: Declared, argument: object) -> Any:
        if inspect.iscoroutinefunction(found.call):
            return await found.call(argument)
        result = await asyncio.get_running_loop().run_in_executor(self._threads, found.call, argument)
        return await result if inspect.isawaitable(result) else result


def _failed(found: Declared, error: Exception) -> Reply:
    _log.error("function failed", function=found.name, exc_info=error)
    # The text of an exception may hold what only the function should know, and a dead letter would carry it on.
    said = str(error) if isinstance(error, InvalidEvent) else type(error).__name__
    return Reply.text(500, f"{found.name} failed: {said}; its log says more\n")


def _joined(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
