"""Replays on the admin port: asked for, shown, stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from eventmesh.activator.broker import presentation
from eventmesh.activator.broker.presentation import Json, json_reply
from eventmesh.activator.broker.questions import (
    BadQuestion,
    broker_of,
    compiled,
    document,
    moment_of,
    number,
    parameters,
    rate_of,
    subscription_of,
)
from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.replays import NewReplay, Replay
from eventmesh.activator.broker.triggers import TriggerSource
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core._core import Request

_FIELDS = {"broker": str, "trigger": str, "since": str, "until": str, "filter": str, "rate": float}

_log = log.get("activator.broker.replay_orders")


class ReplayOrders:
    """The `ExchangeHandler` of `/events/replays`. Raises BadQuestion and StoreError."""

    def __init__(self, store: EventStore, triggers: TriggerSource, clock: Clock, wake: Callable[[], None]) -> None:
        """`wake` is called when there is a new replay."""
        self._store = store
        self._triggers = triggers
        self._clock = clock
        self._wake = wake

    async def handle(self, request: Request) -> Reply:
        """Return JSON."""
        match request.method, request.path.partition("?")[0].strip("/").split("/")[2:]:
            case "GET", []:
                return await self._list(request.path)
            case "POST", []:
                return await self._start(request.body)
            case "DELETE", [text]:
                return await self._stop(text)
            case _:
                return Reply.text(405, "GET or POST /events/replays, DELETE /events/replays/NUMBER\n")

    async def _list(self, path: str) -> Reply:
        broker = broker_of(parameters(path, frozenset({"broker", "namespace"})))
        replays = await self._store.replays.all()
        of_namespace = broker.endswith("/")
        mine = [r for r in replays if r.broker == broker or (of_namespace and r.broker.startswith(broker))]
        return json_reply({"replays": [_shown(replay) for replay in mine]})

    async def _start(self, body: bytes) -> Reply:
        given = document(body, _FIELDS)
        broker = broker_of(given)
        subscription = subscription_of(given.get("trigger", ""), broker, self._triggers)
        expression = given.get("filter", "")
        if expression:
            compiled(expression)
        new = NewReplay(
            subscription.uid,
            f"{subscription.namespace}/{subscription.name}",
            broker,
            moment_of(given, "since"),
            moment_of(given, "until"),
            expression,
            rate_of(given),
        )
        replay = await self._store.replays.start(new, self._clock.now().timestamp())
        _log.info("replay", number=replay.number, trigger=replay.name, first=replay.first, last=replay.last)
        self._wake()
        return json_reply(_shown(replay))

    async def _stop(self, text: str) -> Reply:
        which = number({"number": text}, "number")
        if not await self._store.replays.stop(which):
            raise BadQuestion("number", f"no replay {which} is under way")
        return json_reply({"stopped": which})


def _shown(replay: Replay) -> Json:
    return {
        "number": replay.number,
        "trigger": replay.name,
        "broker": replay.broker,
        "startedAt": presentation.moment(replay.started_at),
        "first": replay.first,
        "last": replay.last,
        "position": replay.position,
        "queued": replay.queued,
        "filter": replay.expression,
        "rate": replay.rate_per_s,
    }
