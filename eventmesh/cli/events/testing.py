"""`eventmesh events test-filter`: whether an event passes a filter, and which part of the filter decided."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from eventmesh.base.errors import ConfigError, UsageError
from eventmesh.cli import connection, output
from eventmesh.cli.events import admin
from eventmesh.cli.events.admin import Json
from eventmesh.cli.events.looking import sequence_of
from eventmesh.cloudevents import http, json_format
from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.filters.explain import Explanation, Finding, explain
from eventmesh.kube.client import HttpApi
from eventmesh.kube.manifests import read_manifests
from eventmesh.kube.resources import TRIGGER

MAX_FILE_BYTES = 8 * 1024 * 1024
"""Longest event that is read from a file: no broker takes one of this size."""


def configure(actions: Any) -> None:
    """Declare the action."""
    test = actions.add_parser("test-filter", help="say whether an event passes a filter, and why (exit code 0 or 1)")
    test.add_argument("event", metavar="FILE", nargs="?", help="an event in the JSON format; - is standard input")
    test.add_argument("--id", metavar="ID", help="in place of FILE: the event of a broker with this id")
    test.add_argument("--source", metavar="URI", help="when several sources use that id")
    test.add_argument("--sequence", type=int, metavar="N", help="in place of FILE: by its number in the store")
    which = test.add_mutually_exclusive_group(required=True)
    which.add_argument("--trigger", metavar="TRIGGER", help="the filter of this Trigger")
    which.add_argument("-f", "--filename", metavar="FILE", type=Path, help="the filter of the Trigger in this manifest")
    which.add_argument("--filter", metavar="CESQL", help="this expression")
    output.add_flag(test)
    admin.add_flags(test)
    test.set_defaults(act=test_filter)


def test_filter(args: argparse.Namespace) -> int:
    """Print the verdict; return 0 when the event passes, 1 when not. Raises InvalidEvent, FilterError, UsageError."""
    event = _event(args)
    told = explain(_spec(args), event)
    if args.output != "table":
        output.document(_document(told), args.output)
    else:
        sys.stdout.write("passes\n" if told.passes else "does not pass\n")
        for finding in told.findings:
            sys.stdout.write(_lines(finding))
    return 0 if told.passes else 1


def _event(args: argparse.Namespace) -> Event:
    if args.id is None and args.sequence is None:
        if args.event is None:
            raise UsageError("name an event: a FILE, --id or --sequence")
        return _event_in(args.event)
    if args.event is not None:
        raise UsageError(f"name one event: {args.event}, or one of a broker")
    found = admin.ask(args, f"/events/{sequence_of(args)}")["event"]
    return http.decode_structured(json_format.MEDIA_TYPE, json.dumps(found).encode())


def _event_in(name: str) -> Event:
    try:
        if name == "-":
            content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with open(name, "rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{name} is longer than {MAX_FILE_BYTES} bytes: that is no event")
    return http.decode_structured(json_format.MEDIA_TYPE, content)


def _spec(args: argparse.Namespace) -> Json:
    if args.filter is not None:
        return {"filters": [{"cesql": args.filter}]}
    if args.filename is not None:
        return _spec_in(args.filename)
    found: list[Json] = []

    async def read(api: HttpApi) -> int:
        found.append((await api.get(TRIGGER, args.trigger, args.namespace))["spec"])
        return 0

    connection.run(args, read)
    return found[0]


def _spec_in(file: Path) -> Json:
    triggers = [obj for obj in read_manifests(file) if obj.get("kind") == TRIGGER.kind]
    if len(triggers) != 1:
        raise UsageError(f"{file} holds {len(triggers)} Triggers: there must be one")
    spec = triggers[0].get("spec")
    if not isinstance(spec, dict):
        raise ConfigError("spec", "is missing, or no object")
    return spec


def _document(told: Explanation) -> Json:
    findings = []
    for finding in told.findings:
        shown: Json = {"path": finding.path, "holds": finding.holds, "reason": finding.reason}
        if finding.text:
            shown |= {"text": finding.text, "line": finding.line, "column": finding.column}
        findings.append(shown)
    return {"passes": told.passes, "findings": findings}


def _lines(finding: Finding) -> str:
    if not finding.text:
        return f"  {finding.path}: {finding.reason}\n"
    where = f"line {finding.line}, column {finding.column}"
    return f"  {finding.path}, {where}: {finding.text} {finding.reason}\n"
