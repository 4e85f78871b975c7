"""`eventmesh diff -f FILE`: what a change would push to data planes, before it is made."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from eventmesh.cli import output
from eventmesh.cli.admin_port import CONTROL


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("-f", "--filename", type=Path, required=True, metavar="FILE", help="YAML")
    output.add_flag(parser)
    CONTROL.add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print the resources that would be sent. Returns 0 without a difference, 1 with one, as `kubectl diff` does."""
    from eventmesh.kube.manifests import read_manifests
    from eventmesh.kube.resources import NAMESPACE

    objects = []
    for obj in read_manifests(args.filename):
        if obj["kind"] != NAMESPACE.kind:
            obj["metadata"].setdefault("namespace", args.namespace)
        objects.append(obj)
    found = CONTROL.order(args, "/diff", {"objects": objects})
    if args.output != "table":
        output.document(found, args.output)
        return 1 if found["changes"] else 0
    rows = []
    for change in found["changes"]:
        told = f"{change['role']} of {change['namespace']}" if change["namespace"] else change["role"]
        rows.append((told, change["clients"], change["type"], change["name"], change["change"], change["bytes"]))
        rows += [("", "", "", f"  {detail}", "", "") for detail in change["details"]]
    if rows:
        output.table(("AUDIENCE", "CLIENTS", "TYPE", "NAME", "CHANGE", "BYTES"), rows)
    else:
        sys.stdout.write("nothing would be pushed\n")
    for problem in found["invalid"]:
        sys.stdout.write(f"cannot be routed: {problem}\n")
    if found["unread"]:
        names = ", ".join(found["unread"])
        sys.stdout.write(f"not read by control, which sees what controllers make of it: {names}\n")
    return 1 if found["changes"] else 0
