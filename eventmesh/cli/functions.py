"""`eventmesh functions`: serve functions on this machine, begin a new one."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    run_ = actions.add_parser("run", help="serve the functions of a directory, as a pod does")
    run_.add_argument(
        "what",
        nargs="?",
        default=".",
        metavar="DIR|FILE|MODULE:NAME",
        help="where the functions are (default: function.py of this directory)",
    )
    run_.add_argument("--port", type=int, metavar="N", help="(default: $PORT, or 8080; 0 takes a free one)")
    run_.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="(default: %(default)s)")
    new = actions.add_parser("init", help="write a new function: code, manifest, README, test")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--template", choices=("event", "http", "bolt"), default="event", help="(default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Do the action; errors are MeshError."""
    return _serve(args) if args.action == "run" else _init(args)


def _serve(args: argparse.Namespace) -> int:
    # The collector finds nothing while modules load; serving turns it on again.
    gc.disable()
    from eventmesh.base import log
    from eventmesh.functions.app import port_of_environment, serve

    log.configure()
    port = port_of_environment() if args.port is None else args.port
    host = f"[{args.host}]" if ":" in args.host else args.host
    return serve(args.what, f"{host}:{port}")


def _init(args: argparse.Namespace) -> int:
    from eventmesh.functions.scaffold import init

    written = init(args.name, args.template, Path())
    for path in written:
        sys.stdout.write(f"{path}\n")
    sys.stdout.write(f"{written[-1]} says how to run it\n")
    return 0
