"""`eventmesh events replay|replays`: a part of the past, once more, to one trigger."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from eventmesh.base.errors import UsageError
from eventmesh.cli import output
from eventmesh.cli.events import admin, choosing
from eventmesh.cli.events.admin import Json

SHOWN = 20
"""Events that a dry run prints as a table."""

HEADS = ("NUMBER", "TRIGGER", "STARTED", "EVENTS", "LOOKED AT", "QUEUED", "RATE", "FILTER")


def configure(actions: Any) -> None:
    """Declare the actions."""
    replay = actions.add_parser("replay", help="deliver a part of the past once more, to one trigger")
    replay.add_argument("broker", metavar="BROKER")
    replay.add_argument(
        "--trigger",
        metavar="TRIGGER",
        required=True,
        help="who gets what its filter lets pass (NAMESPACE/NAME: of another namespace)",
    )
    choosing.add_times(replay)
    replay.add_argument("--filter", metavar="CESQL", help="only events for which this expression is true as well")
    replay.add_argument("--dry-run", action="store_true", help="only show which")
    replay.add_argument("--rate", type=float, default=0.0, metavar="N", help="so many a second (default: no limit)")
    replay.set_defaults(act=start)
    listing = actions.add_parser("replays", help="show replays under way, or stop one")
    listing.add_argument("--stop", type=int, metavar="NUMBER", help="end this one; what is queued already is delivered")
    listing.set_defaults(act=show)
    for action in (replay, listing):
        output.add_flag(action)
        admin.add_flags(action)


def start(args: argparse.Namespace) -> int:
    """Begin a replay, or show what it would deliver."""
    if not (args.since or args.until or args.filter):
        raise UsageError("say which part of the past: --since, --until or --filter")
    wanted = {**choosing.parameters(args, args.broker), "trigger": _trigger(args)}
    if args.dry_run:
        return _dry_run(args, wanted)
    order = {**wanted, "rate": args.rate}
    begun = admin.order(args, "/events/replays", {name: value for name, value in order.items() if value})
    if args.output != "table":
        output.document(begun, args.output)
        return 0
    output.table(HEADS, [_row(begun)])
    return 0


def _trigger(args: argparse.Namespace) -> str:
    """Return the trigger with its namespace, which is the broker's unless it is said."""
    return str(args.trigger if "/" in args.trigger else f"{args.namespace}/{args.trigger}")


def _dry_run(args: argparse.Namespace, wanted: dict[str, object]) -> int:
    found: list[Json] = []
    count, after = 0, 0
    while True:
        page = admin.ask(args, "/events", {**wanted, "after": after or None})
        count += len(page["events"])
        found += page["events"] if args.output != "table" else page["events"][: SHOWN - len(found)]
        after = page["next"]
        if not after:
            break
    if args.output != "table":
        output.document(found, args.output)
        return 0
    rows = [(row["sequence"], row["acceptedAt"], row["event"]["type"], row["event"]["id"]) for row in found]
    output.table(("SEQUENCE", "ACCEPTED", "TYPE", "ID"), rows)
    more = f", the first {SHOWN} of which are shown" if count > SHOWN else ""
    sys.stderr.write(f"eventmesh: {count} events would be delivered again{more}\n")
    return 0


def show(args: argparse.Namespace) -> int:
    """Print a table of replays, or stop one."""
    if args.stop is not None:
        admin.cancel(args, f"/events/replays/{args.stop}")
        sys.stderr.write(f"eventmesh: replay {args.stop} is stopped\n")
        return 0
    replays = admin.ask(args, "/events/replays", {"namespace": args.namespace})["replays"]
    if args.output != "table":
        output.document(replays, args.output)
        return 0
    output.table(HEADS, [_row(replay) for replay in replays])
    return 0


def _row(replay: Json) -> tuple[object, ...]:
    span = max(0, replay["last"] - replay["first"] + 1)
    done = max(0, replay["position"] - replay["first"] + 1)
    rate = f"{replay['rate']:g}/s" if replay["rate"] else "any"
    names = (replay["number"], replay["trigger"], replay["startedAt"])
    return (*names, span, done, replay["queued"], rate, replay["filter"])
