"""`eventmesh events repair`: a sound store in the place of a damaged one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventmesh.cli import output

if TYPE_CHECKING:
    from eventmesh.activator.broker.store.repair import Repair

SHOWN_RANGES = 20
"""Ranges of lost events that the table names."""


def configure(actions: Any) -> None:
    """Declare the action."""
    action = actions.add_parser("repair", help="salvage a damaged event store (stop the activator first)")
    action.add_argument(
        "--data-dir", metavar="DIR", type=Path, required=True, help="the activator's, where events.db is"
    )
    action.add_argument("--dry-run", action="store_true", help="only show what would be salvaged and what is lost")
    output.add_flag(action)
    action.set_defaults(act=run)


def run(args: argparse.Namespace) -> int:
    """Repair, or show what a repair would do."""
    from eventmesh.activator.broker.app import STORE_FILE
    from eventmesh.activator.broker.store.repair import repair

    done = repair(args.data_dir / STORE_FILE, dry_run=args.dry_run)
    if args.output != "table":
        output.document(_document(done), args.output)
        return 0
    output.table(("WHAT", "FOUND", "LOST"), _rows(done))
    for line in _lines(done, args.dry_run):
        sys.stderr.write(f"eventmesh: {line}\n")
    return 0


def _rows(done: Repair) -> list[tuple[object, ...]]:
    found = done.found
    lost = sum(last - first + 1 for first, last in found.lost)
    return [
        ("events", found.events, lost),
        ("dead letters", found.dead_letters, ""),
        ("queued", found.queued, ""),
        ("attempts", found.attempts, ""),
        ("places of triggers", len(found.places) - len(done.places), len(done.places)),
        ("other rows", "", found.unreadable),
    ]


def _lines(done: Repair, dry_run: bool) -> list[str]:
    found = done.found
    if not done.is_needed:
        return ["nothing is damaged; nothing was changed"]
    lines = [
        f"damaged are {len(done.damaged_pages)} pages of the database and {len(done.damaged_frames)} of its log; "
        f"{done.missing_frames} of the log are missing" + (", its header is damaged" if done.log_header_damaged else "")
    ]
    if found.lost:
        some = ", ".join(f"{first} to {last}" for first, last in found.lost[:SHOWN_RANGES])
        more = " and others" if len(found.lost) > SHOWN_RANGES else ""
        lines.append(f"lost for good: events {some}{more}")
    if done.places:
        uids = ", ".join(place.uid for place in done.places)
        lines.append(f"delivered again, as far as they are not known to have ended: the events of triggers {uids}")
    if found.queued_again:
        lines.append(f"delivered again, because their place in a queue is lost: {found.queued_again} events")
    if done.may_lack_triggers:
        uids = ", ".join(place.uid for place in found.places) or "none"
        lines.append(f"known are the triggers {uids}; others begin anew: `eventmesh events replay` gives them the past")
    if done.kept_in:
        lines.append(f"the store is repaired; the damaged files are in {done.kept_in}")
    elif dry_run:
        lines.append("nothing was changed; run it without --dry-run to repair")
    return lines


def _document(done: Repair) -> dict[str, Any]:
    found = done.found
    return {
        "damagedPages": list(done.damaged_pages),
        "damagedFrames": list(done.damaged_frames),
        "lostFrames": done.lost_frames,
        "logHeaderDamaged": done.log_header_damaged,
        "missingFrames": done.missing_frames,
        "events": found.events,
        "lostEvents": [{"first": first, "last": last} for first, last in found.lost],
        "deadLetters": found.dead_letters,
        "queued": found.queued,
        "queuedAgain": found.queued_again,
        "attempts": found.attempts,
        "unreadableRows": found.unreadable,
        "triggers": [
            {"uid": place.uid, "broker": place.broker, "cursor": place.cursor, "rebuilt": place.rebuilt}
            for place in found.places
        ],
        "keptIn": str(done.kept_in) if done.kept_in else None,
    }
