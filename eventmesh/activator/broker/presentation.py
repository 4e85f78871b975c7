"""How events and what became of them look as JSON on the admin port; `eventmesh events` prints the same."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from eventmesh.activator.broker.attributes import as_dead_letter
from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.store.history import Timeline
from eventmesh.activator.broker.store.queue import QueuedEvent
from eventmesh.activator.broker.store.values import Attempt, DeadLetter, Failure, StoredEvent
from eventmesh.activator.broker.triggers import TriggerSource
from eventmesh.cloudevents import json_format
from eventmesh.cloudevents.event import Event
from eventmesh.transport.exchange import Reply

Json = dict[str, Any]


def moment(seconds: float) -> str:
    """Return seconds since the epoch as RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event(stored: StoredEvent) -> Json:
    """Return an event in the JSON format of CloudEvents, with its place in the store."""
    return {
        "sequence": stored.sequence,
        "acceptedAt": moment(stored.accepted_at),
        "broker": stored.broker,
        "event": json.loads(json_format.encode(stored.event)),
    }


def attempt(made: Attempt) -> Json:
    """Return one attempt; what does not apply is left out."""
    shown: Json = {
        "sequence": made.sequence,
        "trigger": made.name,
        "to": "deadLetterSink" if made.to_dead_letter_sink else "subscriber",
        "attempt": made.number,
        "at": moment(made.at),
        "tookMs": round(made.took_s * 1000, 1),
    }
    if made.status:
        shown["status"] = made.status
    if made.error:
        shown["error"] = made.error
    if made.outcome is not None:
        shown["outcome"] = made.outcome.value
    if made.reason:
        shown["reason"] = made.reason
    if made.reply:
        shown["reply"] = made.reply
    return shown


def timeline(known: Timeline, triggers: TriggerSource) -> Json:
    """Return all that is known of an event."""
    shown = event(known.stored)
    shown["attempts"] = [attempt(made) for made in known.attempts]
    reaches = sorted((name_of(uid, triggers), reach.value) for uid, reach in known.triggers.items())
    shown["triggers"] = [{"trigger": name, "state": reach} for name, reach in reaches]
    shown["replyTo"] = list(known.causes)
    return shown


def name_of(uid: str, triggers: TriggerSource) -> str:
    """Return `namespace/name` of a trigger; its UID when it is not served."""
    subscription = triggers.subscriptions().get(uid)
    return f"{subscription.namespace}/{subscription.name}" if subscription else uid


def dead_letter(letter: DeadLetter, triggers: TriggerSource) -> Json:
    """Return a dead letter: its event as a dead letter sink would have got it."""
    shown: Json = {
        "trigger": letter.name or name_of(letter.trigger, triggers),
        "sequence": letter.sequence,
        "reason": letter.reason,
    }
    if letter.at:
        shown["at"] = moment(letter.at)
    if letter.failure is not None:
        shown["attempts"] = letter.failure.attempts
    if letter.stored is not None:
        shown |= event(replace(letter.stored, event=_with_failure(letter.stored.event, letter.failure)))
    return shown


def _with_failure(refused: Event, failure: Failure | None) -> Event:
    if failure is None:
        return refused
    return as_dead_letter(refused, failure.uri, Answer(failure.status, body=failure.data))


def queued(entry: QueuedEvent, triggers: TriggerSource) -> Json:
    """Return what waits in a queue."""
    shown: Json = {
        "entry": entry.entry,
        "trigger": name_of(entry.trigger, triggers),
        "sequence": entry.sequence,
        "due": moment(entry.due),
        "origin": entry.origin.value,
    }
    return shown if entry.stored is None else {**shown, **event(entry.stored)}


def json_reply(value: object) -> Reply:
    """Return `value` as the answer to a request."""
    return Reply(200, (("content-type", "application/json"),), json.dumps(value, ensure_ascii=False).encode())
