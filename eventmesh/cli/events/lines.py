"""An event, and an attempt to deliver it, each on one line."""

from __future__ import annotations

from eventmesh.cli.events.admin import Json

OUTCOMES = {
    "delivered": "delivered",
    "dead_lettered": "taken by the dead letter sink",
    "kept": "kept as dead letter",
}


def head_line(row: Json) -> str:
    """Return what identifies an event."""
    event = row["event"]
    return (
        f"event {row['sequence']}  {event['type']}  id={event['id']}  source={event['source']}  broker={row['broker']}"
    )


def attempt_line(attempt: Json) -> str:
    """Return trigger, number and end of an attempt."""
    if not attempt["attempt"]:
        return f"{attempt['trigger']}  {attempt.get('outcome', '')}{reason_of(attempt)}".rstrip()
    whose = f"{attempt['trigger']} (dead letter sink)" if attempt["to"] == "deadLetterSink" else attempt["trigger"]
    answer = attempt.get("status") or f"no answer ({attempt.get('error', 'unknown')})"
    notes = [OUTCOMES.get(attempt.get("outcome", ""), attempt.get("outcome", ""))]
    notes.append(f"replied with event {attempt['reply']}" if "reply" in attempt else "")
    told = ", ".join(note for note in notes if note)
    ending = f": {told}{reason_of(attempt)}" if told else ""
    return f"{whose}  attempt {attempt['attempt']}  {answer} after {attempt['tookMs']} ms{ending}"


def reason_of(attempt: Json) -> str:
    """Return the reason in brackets, when there is one; alone, when there is nothing else."""
    reason = attempt.get("reason")
    if not reason:
        return ""
    return f" ({reason})" if attempt.get("outcome") else reason
