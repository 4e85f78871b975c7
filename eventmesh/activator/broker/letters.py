"""Dead letters and queues on the admin port: shown, and sent again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from eventmesh.activator.broker import presentation
from eventmesh.activator.broker.presentation import json_reply
from eventmesh.activator.broker.questions import broker_of, document, number, parameters, rate_of
from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.triggers import TriggerSource
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core._core import Request

MAX_SHOWN: Final = 500
"""Dead letters, or entries of a queue, of one answer."""

_WHERE = frozenset({"broker", "namespace", "trigger", "id", "after", "limit"})
_REDRIVE = {"broker": str, "namespace": str, "trigger": str, "id": str, "rate": float, "dryRun": bool}

_log = log.get("activator.broker.letters")


class Letters:
    """The `ExchangeHandler` of three of the paths below `/events`. Raises BadQuestion and StoreError."""

    def __init__(self, store: EventStore, triggers: TriggerSource, clock: Clock, queued: Callable[[str], None]) -> None:
        """`queued` is told the UID of a trigger that has something in its queue."""
        self._store = store
        self._triggers = triggers
        self._clock = clock
        self._queued = queued

    async def handle(self, request: Request) -> Reply:
        """Return JSON."""
        match request.method, request.path.partition("?")[0].strip("/").split("/")[1:]:
            case "GET", ["dead"]:
                return await self._dead(request.path)
            case "GET", ["queued"]:
                return await self._waiting(request.path)
            case "POST", ["redrive"]:
                return await self._redrive(request.body)
            case _:
                return Reply.text(405, "GET /events/dead, GET /events/queued, POST /events/redrive\n")

    async def _dead(self, path: str) -> Reply:
        given = parameters(path, _WHERE)
        selection = Selection(broker_of(given), given.get("trigger", ""), given.get("id", ""))
        limit = min(number(given, "limit", MAX_SHOWN), MAX_SHOWN)
        # One more, to know whether there are more.
        letters = await self._store.history.dead_letters(selection, limit + 1)
        shown = [presentation.dead_letter(letter, self._triggers) for letter in letters[:limit]]
        return json_reply({"deadLetters": shown, "more": len(letters) > limit})

    async def _waiting(self, path: str) -> Reply:
        entries = await self._store.queue.waiting(broker_of(parameters(path, _WHERE)), MAX_SHOWN)
        return json_reply({"queued": [presentation.queued(entry, self._triggers) for entry in entries]})

    async def _redrive(self, body: bytes) -> Reply:
        given = document(body, _REDRIVE)
        selection = Selection(broker_of(given), given.get("trigger", ""), given.get("id", ""))
        now, rate = self._clock.now().timestamp(), rate_of(given)
        if given.get("dryRun", False):
            letters = await self._store.history.dead_letters(selection)
            rows = [
                (letter.trigger, letter.name, letter.sequence, letter.stored.event.id, now)
                for letter in letters
                if letter.stored
            ]
        else:
            moved = await self._store.queue.redrive(selection, now, rate)
            self._tell([letter.trigger for letter in moved])
            rows = [(letter.trigger, letter.name, letter.sequence, letter.event_id, letter.due) for letter in moved]
        shown = [
            {
                "trigger": name or presentation.name_of(uid, self._triggers),
                "sequence": sequence,
                "id": event_id,
                "due": presentation.moment(due),
            }
            for uid, name, sequence, event_id, due in rows
        ]
        return json_reply({"redriven": shown})

    def _tell(self, triggers: Sequence[str]) -> None:
        for trigger in set(triggers):
            self._queued(trigger)
        _log.info("redriven", events=len(triggers))
