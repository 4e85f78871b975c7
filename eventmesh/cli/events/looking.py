"""`eventmesh events list|get|trace`: events that were accepted, one of them, and what became of it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from eventmesh.base.errors import UsageError
from eventmesh.cli import output
from eventmesh.cli.events import admin, choosing
from eventmesh.cli.events.admin import Json
from eventmesh.cli.events.lines import attempt_line, head_line

MAX_GENERATIONS = 16
"""Replies to replies that a trace follows; a trigger that matches its own reply would go on to 255."""

PAGE = 500


def configure(actions: Any) -> None:
    """Declare the actions."""
    listing = actions.add_parser("list", help="show the newest events, oldest of them first")
    listing.add_argument("broker", metavar="BROKER", nargs="?", help="(default: all of the namespace)")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="at most (default: %(default)s)")
    choosing.add_flags(listing)
    choosing.add_times(listing)
    listing.set_defaults(act=show_list)
    one = actions.add_parser("get", help="show one event, its data included")
    one.set_defaults(act=show_one)
    trace = actions.add_parser("trace", help="show what became of one event: attempts, replies, dead letters")
    trace.set_defaults(act=show_trace)
    for action in (one, trace):
        action.add_argument("id", metavar="ID", nargs="?", help="of the event")
        action.add_argument("--source", metavar="URI", help="when several sources use that id")
        action.add_argument("--sequence", type=int, metavar="N", help="its number in the store, in place of ID")
    for action in (listing, one, trace):
        output.add_flag(action)
        admin.add_flags(action)


def show_list(args: argparse.Namespace) -> int:
    """Print a table of events."""
    if args.limit < 1:
        raise UsageError(f"--limit: must be at least 1, not {args.limit}")
    found = newest(args, choosing.parameters(args, args.broker), args.limit)
    if args.output != "table":
        output.document(found, args.output)
        return 0
    rows = [
        (row["sequence"], row["acceptedAt"], row["broker"], e["type"], e["source"], e["id"], e.get("subject", ""))
        for row in found
        for e in (row["event"],)
    ]
    output.table(("SEQUENCE", "ACCEPTED", "BROKER", "TYPE", "SOURCE", "ID", "SUBJECT"), rows)
    return 0


def newest(args: argparse.Namespace, wanted: dict[str, object], limit: int) -> list[Json]:
    """Return the newest events that are wanted, oldest first."""
    found: list[Json] = []
    before: object = None
    while len(found) < limit:
        page = min(PAGE, limit - len(found))
        answer = admin.ask(args, "/events", {**wanted, "order": "newest", "limit": page, "before": before})
        found += answer["events"]
        before = answer["next"]
        if not before:
            break
    return found[::-1]


def show_one(args: argparse.Namespace) -> int:
    """Print one event."""
    found = admin.ask(args, f"/events/{sequence_of(args)}")
    if args.output != "table":
        output.document(found, args.output)
        return 0
    print_event(found, [])
    return 0


def print_event(found: Json, facts: list[tuple[str, object]]) -> None:
    """Print an event and further facts about it as a table, its data below."""
    event = found.get("event", {})
    data = {name: value for name, value in event.items() if name in ("data", "data_base64")}
    heads = {"sequence": "sequence", "broker": "broker", "acceptedAt": "accepted"}
    rows = [(head, found[name]) for name, head in heads.items() if name in found] + facts
    rows += [(name, value) for name, value in event.items() if name not in data]
    output.table(("ATTRIBUTE", "VALUE"), rows)
    for name, value in data.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        sys.stdout.write(f"\n{name}:\n{_harmless(text)}\n")


def show_trace(args: argparse.Namespace) -> int:
    """Print what became of one event, and of the replies to it."""
    told = _trace(args, sequence_of(args), 0)
    if args.output != "table":
        output.document(told, args.output)
        return 0
    _print_trace(told, "")
    return 0


def _trace(args: argparse.Namespace, sequence: int, generation: int) -> Json:
    told = admin.ask(args, f"/events/{sequence}/trace")
    replies = [attempt["reply"] for attempt in told["attempts"] if "reply" in attempt]
    told["replies"] = []
    if generation < MAX_GENERATIONS:
        told["replies"] = [_trace(args, reply, generation + 1) for reply in dict.fromkeys(replies)]
    return told


def _print_trace(told: Json, indent: str) -> None:
    sys.stdout.write(f"{indent}{head_line(told)}\n")
    if told["replyTo"] and not indent:
        causes = ", ".join(str(cause) for cause in told["replyTo"])
        sys.stdout.write(f"{indent}  a reply to event {causes}\n")
    sys.stdout.write(f"{indent}  {told['acceptedAt']}  accepted\n")
    for attempt in told["attempts"]:
        sys.stdout.write(f"{indent}  {attempt['at']}  {attempt_line(attempt)}\n")
    for trigger in told["triggers"]:
        if trigger["state"] != "ended":
            sys.stdout.write(f"{indent}  {'':24}  {trigger['trigger']}  {trigger['state']}\n")
    for reply in told["replies"]:
        _print_trace(reply, f"{indent}  ")


def sequence_of(args: argparse.Namespace) -> int:
    """Return the sequence of the event that `id` and `source`, or `sequence`, name; raises UsageError."""
    if (args.id is None) == (args.sequence is None):
        raise UsageError("name the event by its ID, or by --sequence")
    if args.sequence is not None:
        return int(args.sequence)
    found = newest(args, {"namespace": args.namespace, "id": args.id, "source": args.source}, PAGE)
    if not found:
        raise UsageError(
            f"no event with the id {args.id!r} is in the store: `eventmesh events list` shows those there are"
        )
    sources = sorted({row["event"]["source"] for row in found})
    if len(sources) > 1:
        raise UsageError(
            f"{len(sources)} sources use the id {args.id!r}: name one of {', '.join(sources)} with --source"
        )
    if len(found) > 1:
        others = ", ".join(str(row["sequence"]) for row in found[:-1])
        sys.stderr.write(f"eventmesh: shown is the newest of {len(found)} events with this id; before it: {others}\n")
    return int(found[-1]["sequence"])


def _harmless(text: str) -> str:
    """Return text without what would move the cursor or change the terminal: data is whatever a stranger sent."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else f"\\x{ord(sign):02x}" for sign in text)
