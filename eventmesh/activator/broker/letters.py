"""Dead letters and queues on the admin port: shown, and sent again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from eventmesh.activator.broker import presentation
from eventmesh.activator.broker.presentation import json_reply
from eventmesh.activator.broker.questions import broker_of, document, number, parameters, rate_of
from eventmesh.activator.broker.store.api import DeadLetter, EventStore
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
        letters = await self._store.history.dead_letters(selection.broker)
        wanted = [letter for letter in letters if self._is_meant(letter, selection)]
        shown = [presentation.dead_letter(letter, self._triggers) for letter in wanted[:limit]]
        return json_reply({"deadLetters": shown, "total": len(wanted)})

    def _is_meant(self, letter: DeadLetter, selection: Selection) -> bool:
        name = letter.name or presentation.name_of(letter.trigger, self._triggers)
        if selection.trigger not in ("", name):
            return False
        return not selection.event_id or (letter.stored is not None and letter.stored.event.id == selection.event_id)

    async def _waiting(self, path: str) -> Reply:
        entries = await self._store.queue.waiting(broker_of(parameters(path, _WHERE)), MAX_SHOWN)
        return json_reply({"queued": [presentation.queued(entry, self._triggers) for entry in entries]})

    async def _redrive(self, body: bytes) -> Reply:
        given = document(body, _REDRIVE)
        selection = Selection(broker_of(given), given.get("trigger", ""), given.get("id", ""))
        dry_run = bool(given.get("dryRun", False))
        now = self._clock.now().timestamp()
        moved = await self._store.queue.redrive(selection, now, rate_of(given), dry_run=dry_run)
        if not dry_run:
            self._tell([letter.trigger for letter in moved])
        rows = [
            {
                "trigger": letter.name or presentation.name_of(letter.trigger, self._triggers),
                "sequence": letter.sequence,
                "id": letter.event_id,
                "due": presentation.moment(letter.due),
            }
            for letter in moved
        ]
        return json_reply({"redriven": rows, "dryRun": dry_run})

    def _tell(self, triggers: Sequence[str]) -> None:
        for trigger in set(triggers):
            self._queued(trigger)
        _log.info("redriven", events=len(triggers))
