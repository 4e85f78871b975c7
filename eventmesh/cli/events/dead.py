"""`eventmesh events dead|redrive|queued`: what could not be delivered, and what is to be delivered again."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from eventmesh.base.errors import UsageError
from eventmesh.cli import output
from eventmesh.cli.events import admin
from eventmesh.cli.events.looking import print_event


def configure(actions: Any) -> None:
    """Declare the actions."""
    dead = actions.add_parser("dead", help="show dead letters that stayed in the store")
    of_dead = dead.add_subparsers(metavar="ACTION", required=True)
    listing = of_dead.add_parser("list", help="show them, oldest first")
    listing.set_defaults(act=show_list)
    one = of_dead.add_parser("get", help="show one, with what its subscriber answered")
    one.add_argument("id", metavar="ID", help="of the event")
    one.set_defaults(act=show_one)
    redrive = actions.add_parser("redrive", help="deliver dead letters again, each to the trigger that gave it up")
    redrive.add_argument("--id", metavar="ID", default="", help="only the event with this id")
    redrive.add_argument("--dry-run", action="store_true", help="only show which")
    redrive.add_argument("--rate", type=float, default=0.0, metavar="N", help="so many a second (default: all at once)")
    redrive.set_defaults(act=send_again)
    queued = actions.add_parser("queued", help="show what waits to be delivered later, or again")
    queued.set_defaults(act=show_queued)
    for action in (listing, one, redrive, queued):
        if action is not one:
            action.add_argument("broker", metavar="BROKER", nargs="?", help="(default: all of the namespace)")
        if action is not queued:
            action.add_argument("--trigger", metavar="TRIGGER", default="", help="only those of this trigger")
        output.add_flag(action)
        admin.add_flags(action)


def show_list(args: argparse.Namespace) -> int:
    """Print a table of dead letters."""
    found = admin.ask(args, "/events/dead", _where(args, args.broker))
    if args.output != "table":
        output.document(found["deadLetters"], args.output)
        return 0
    rows = [
        (row["sequence"], row.get("at", ""), row["trigger"], e.get("type", ""), e.get("id", ""), row["reason"])
        for row in found["deadLetters"]
        for e in (row.get("event", {}),)
    ]
    output.table(("SEQUENCE", "GIVEN UP", "TRIGGER", "TYPE", "ID", "REASON"), rows)
    if found["more"]:
        sys.stderr.write(f"eventmesh: shown are the first {len(rows)}; name a broker or a trigger to see others\n")
    return 0


def show_one(args: argparse.Namespace) -> int:
    """Print one dead letter."""
    found = admin.ask(args, "/events/dead", {**_where(args, None), "id": args.id})["deadLetters"]
    if not found:
        raise UsageError(f"no dead letter has the id {args.id!r}: `eventmesh events dead list` shows those there are")
    triggers = sorted({row["trigger"].partition("/")[2] for row in found})
    if len(triggers) > 1:
        raise UsageError(
            f"{len(triggers)} triggers gave {args.id!r} up: name one of {', '.join(triggers)} with --trigger"
        )
    letter = found[-1]
    if args.output != "table":
        output.document(letter, args.output)
        return 0
    facts = [(name, letter[name]) for name in ("trigger", "at", "reason", "attempts") if name in letter]
    print_event(letter, facts)
    return 0


def send_again(args: argparse.Namespace) -> int:
    """Have dead letters delivered again."""
    what = {**_where(args, args.broker), "id": args.id, "rate": args.rate, "dryRun": args.dry_run}
    moved = admin.order(args, "/events/redrive", {name: value for name, value in what.items() if value})["redriven"]
    if args.output != "table":
        output.document(moved, args.output)
        return 0
    if moved:
        rows = [(row["sequence"], row["id"], row["trigger"], row["due"]) for row in moved]
        output.table(("SEQUENCE", "ID", "TRIGGER", "DUE"), rows)
    said = "would be delivered again" if args.dry_run else "will be delivered again"
    sys.stderr.write(f"eventmesh: {len(moved)} dead letters {said}\n")
    return 0


def show_queued(args: argparse.Namespace) -> int:
    """Print what waits in the queues of triggers."""
    found = admin.ask(args, "/events/queued", _where(args, args.broker))["queued"]
    if args.output != "table":
        output.document(found, args.output)
        return 0
    rows = [
        (row["sequence"], row["due"], row["origin"], row["trigger"], e.get("type", ""), e.get("id", ""))
        for row in found
        for e in (row.get("event", {}),)
    ]
    output.table(("SEQUENCE", "DUE", "WHY", "TRIGGER", "TYPE", "ID"), rows)
    return 0


def _where(args: argparse.Namespace, broker: str | None) -> dict[str, Any]:
    where = {"broker": f"{args.namespace}/{broker}"} if broker else {"namespace": args.namespace}
    trigger = getattr(args, "trigger", "")
    return {**where, "trigger": f"{args.namespace}/{trigger}"} if trigger else where
