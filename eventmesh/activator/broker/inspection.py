"""What people ask of the broker, on the admin port below `/events`: events, their timelines, those of now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from eventmesh.activator.broker import presentation
from eventmesh.activator.broker.presentation import json_reply
from eventmesh.activator.broker.questions import BadQuestion, number, query_of, subscription_of
from eventmesh.activator.broker.store.errors import CorruptStore, StoreError
from eventmesh.activator.broker.store.history import MAX_PAGE, EventHistory, Order, Position, Query
from eventmesh.activator.broker.triggers import TriggerSource
from eventmesh.base.clock import Clock
from eventmesh.transport.exchange import ExchangeHandler, Reply

if TYPE_CHECKING:
    from eventmesh.core._core import Request

MAX_WAIT_S: Final = 20
"""Longest that an answer about the newest events is waited with: shorter than proxies in between are patient."""

LOOK_AGAIN_S: Final = 0.1
"""The store is looked at so often while somebody follows events; a person sees no difference."""


class Inspection:
    """The `ExchangeHandler` of these paths."""

    def __init__(
        self, history: EventHistory, triggers: TriggerSource, clock: Clock, rooms: Mapping[str, ExchangeHandler]
    ) -> None:
        """`rooms`: who answers below `/events/NAME`."""
        self._rooms = rooms
        self._history = history
        self._triggers = triggers
        self._clock = clock

    async def handle(self, request: Request) -> Reply:
        """Return JSON: 400 for a question that cannot be read, 404 for what is not there, 503 when the store fails."""
        try:
            return await self._answer(request)
        except BadQuestion as error:
            return Reply.text(400, f"{error}\n")
        except CorruptStore as error:
            return Reply.text(500, f"{error}\n")
        except StoreError as error:
            return Reply.text(503, f"{error}\n")

    async def _answer(self, request: Request) -> Reply:
        parts = request.path.partition("?")[0].strip("/").split("/")[1:]
        if parts and parts[0] in self._rooms:
            return await self._rooms[parts[0]].handle(request)
        match request.method, parts:
            case "GET", []:
                return await self._list(request.path)
            case "GET", ["tail"]:
                return await self._tail(request.path)
            case "GET", [sequence]:
                return await self._event(sequence)
            case "GET", [sequence, "trace"]:
                return await self._trace(sequence)
            case _:
                below = ", ".join(f"/events/{name}" for name in ("tail", "SEQUENCE", "SEQUENCE/trace", *self._rooms))
                return Reply.text(404, f"there are /events, {below}\n")

    async def _list(self, path: str) -> Reply:
        query, given = query_of(path, frozenset({"trigger"}))
        if "trigger" in given:
            query = self._as_seen_by(given["trigger"], query)
        page = await self._history.events(query)
        return json_reply({"events": [presentation.event(stored) for stored in page.events], "next": page.next})

    def _as_seen_by(self, trigger: str, query: Query) -> Query:
        """Return the query for what passes the trigger's filter as well."""
        mine, others = subscription_of(trigger, query.broker, self._triggers).passes, query.passes
        return replace(query, passes=lambda event: mine(event) and (others is None or others(event)))

    async def _event(self, text: str) -> Reply:
        sequence = number({"sequence": text}, "sequence")
        stored = await self._history.event(sequence)
        return _gone(sequence) if stored is None else json_reply(presentation.event(stored))

    async def _trace(self, text: str) -> Reply:
        sequence = number({"sequence": text}, "sequence")
        known = await self._history.timeline(sequence)
        return _gone(sequence) if known is None else json_reply(presentation.timeline(known, self._triggers))

    async def _tail(self, path: str) -> Reply:
        """Answer as soon as there is something behind `after` (events) and `entry` (attempts), or after `wait`."""
        query, given = query_of(path, frozenset({"entry", "wait"}))
        wait_s = min(number(given, "wait", MAX_WAIT_S), MAX_WAIT_S)
        newest = await self._history.position()
        # Who names no place begins now.
        seen = Position(number(given, "after", newest.sequence), number(given, "entry", newest.entry))
        deadline = self._clock.monotonic() + wait_s
        while newest == seen and self._clock.monotonic() < deadline:
            await self._clock.sleep(LOOK_AGAIN_S)
            newest = await self._history.position()
        return json_reply(await self._news(query, seen, newest))

    async def _news(self, query: Query, seen: Position, newest: Position) -> dict[str, Any]:
        page = await self._history.events(
            replace(query, after=seen.sequence, before=newest.sequence + 1, order=Order.OLDEST_FIRST, limit=MAX_PAGE)
        )
        last = min(newest.entry, seen.entry + MAX_PAGE)
        made = await self._history.attempts(replace(query, after=seen.entry, limit=MAX_PAGE))
        return {
            "events": [presentation.event(stored) for stored in page.events],
            "attempts": [
                {**presentation.attempt(row.attempt), "broker": row.stored.broker, "id": row.stored.event.id}
                for row in made
                if row.entry <= last
            ],
            "after": page.next or newest.sequence,
            "entry": last,
        }


def _gone(sequence: int) -> Reply:
    return Reply.text(404, f"event {sequence} is not in the store (any more)\n")
