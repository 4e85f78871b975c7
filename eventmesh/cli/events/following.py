"""`eventmesh events tail`: events and attempts as they happen, until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from eventmesh.cli.events import admin, choosing
from eventmesh.cli.events.admin import Json
from eventmesh.cli.events.lines import attempt_line, head_line


def configure(actions: Any) -> None:
    """Declare the action."""
    tail = actions.add_parser("tail", help="follow events and attempts as they happen")
    tail.add_argument("broker", metavar="BROKER", nargs="?", help="(default: all of the namespace)")
    choosing.add_flags(tail)
    tail.add_argument("--accepted-only", action="store_true", help="leave out how deliveries go")
    tail.add_argument("--max", type=int, metavar="N", help="end after so many lines")
    tail.add_argument("-o", "--output", choices=("table", "json"), default="table", help="json: one object a line")
    admin.add_flags(tail)
    tail.set_defaults(act=follow)


def follow(args: argparse.Namespace) -> int:
    """Print a line for each event and each attempt."""
    wanted = choosing.parameters(args, args.broker)
    place: dict[str, object] = {"wait": 0}
    left = args.max
    while left is None or left > 0:
        news = admin.ask(args, "/events/tail", {**wanted, **place})
        place = {"after": news["after"], "entry": news["entry"]}
        rows = news["events"] if args.accepted_only else _by_time(news)
        for row in rows[:left]:
            sys.stdout.write(_line(row, args.output) + "\n")
        sys.stdout.flush()
        left = None if left is None else left - len(rows)
    return 0


def _by_time(news: Json) -> list[Json]:
    return sorted([*news["events"], *news["attempts"]], key=lambda row: row.get("acceptedAt") or row["at"])


def _line(row: Json, form: str) -> str:
    if form == "json":
        return json.dumps(row, ensure_ascii=False)
    if "event" in row:
        return f"{row['acceptedAt']}  {head_line(row)}"
    return f"{row['at']}  event {row['sequence']}  id={row['id']}  -> {attempt_line(row)}"
