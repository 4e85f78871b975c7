"""The flags that say which events are meant, and the parameters they become."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from eventmesh.base.clock import SystemClock
from eventmesh.base.durations import parse_go
from eventmesh.base.errors import UsageError


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that choose by attribute."""
    parser.add_argument("--type", metavar="TYPE", help="only events of this type")
    parser.add_argument("--source", metavar="URI", help="only events of this source")
    parser.add_argument("--subject", metavar="TEXT", help="only events of this subject")
    parser.add_argument("--filter", metavar="CESQL", help="only events for which this expression is true")


def add_times(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that choose by time of acceptance."""
    parser.add_argument("--since", metavar="TIME", help="accepted since: RFC 3339, or how long ago, such as 10m")
    parser.add_argument("--until", metavar="TIME", help="accepted before then")


def parameters(args: argparse.Namespace, broker: str | None) -> dict[str, object]:
    """Return what the flags ask for; raises UsageError."""
    where: dict[str, object] = {"broker": f"{args.namespace}/{broker}"} if broker else {"namespace": args.namespace}
    for name in ("type", "source", "subject", "filter"):
        where[name] = getattr(args, name, None)
    for name in ("since", "until"):
        text = getattr(args, name, None)
        where[name] = moment(f"--{name}", text) if text else None
    return where


def moment(flag: str, text: str) -> str:
    """Return a time in RFC 3339; a duration means so long ago. Raises UsageError."""
    try:
        return (SystemClock().now() - timedelta(seconds=parse_go(text))).isoformat()
    except (ValueError, OverflowError):
        pass
    try:
        named = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{flag}: {text!r} is neither a time (2026-01-31T12:00:00Z) nor a duration (10m)") from None
    return (named if named.tzinfo else named.replace(tzinfo=UTC)).isoformat()
