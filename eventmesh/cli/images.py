"""`eventmesh images`: make directories runnable as `dev.local/NAME`, and show what there is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from eventmesh.cli import data_dir
from eventmesh.cluster.runtime.images import REGISTRY, ImageStore


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    add = actions.add_parser("add", help=f"copy DIR in as the newest version of {REGISTRY}/NAME")
    add.add_argument("name", metavar="NAME")
    add.add_argument("directory", metavar="DIR", type=Path)
    listing = actions.add_parser("list", help="show names and versions")
    for action in (add, listing):
        data_dir.add_flag(action)


def run(args: argparse.Namespace) -> int:
    """Do the action; errors are MeshError."""
    store = ImageStore(data_dir.prepared(args.data_dir))
    if args.action == "add":
        image = store.add(args.name, args.directory)
        sys.stdout.write(f"{REGISTRY}/{image.name} is now {image.digest}\n")
        return 0
    for name in store.names():
        newest, *older = store.versions(name)
        note = f"  ({len(older)} older kept)" if older else ""
        sys.stdout.write(f"{REGISTRY}/{name}  {newest}{note}\n")
    return 0
