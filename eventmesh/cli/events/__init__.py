"""`eventmesh events ACTION`: what a broker accepted, and what became of it. One module a group of actions."""

from __future__ import annotations

import argparse

from eventmesh.cli.events import dead, following, looking, repairing, replaying, testing

GROUPS = (looking, following, dead, replaying, testing, repairing)
"""Each has `configure(actions)`, which declares its actions and sets `act` to what does them."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their flags."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    for group in GROUPS:
        group.configure(actions)


def run(args: argparse.Namespace) -> int:
    """Do the action; errors are MeshError."""
    code: int = args.act(args)
    return code
