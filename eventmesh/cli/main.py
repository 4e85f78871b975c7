"""The entry point `eventmesh`: finds the command, turns errors into messages and exit codes.

A command is a module of this package with `NAME`, `HELP`, `configure(parser)` and `run(args) -> int`; it
is imported only when it is called, so that a sidecar does not pay for what `up` needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from eventmesh import __version__
from eventmesh.base.errors import MeshError
from eventmesh.base.late_patterns import late_patterns

with late_patterns("argparse", "gettext"):
    import argparse

# There are no catalogs of argparse's words in other languages, ours are English, and to look for one costs 3 ms.
vars(argparse).update(_=str)

COMMANDS: dict[str, str] = {
    "activator": "hold requests for sleeping functions, keep the broker",
    "apply": "create or update what a manifest says",
    "autoscaler": "scale functions by their load, beside any Kubernetes API",
    "check": "find what is wrong with this machine or cluster, and say how to mend it",
    "completion": "print what makes a shell complete commands and flags",
    "control": "watch Kubernetes objects and publish routes over xDS",
    "controllers": "run the controllers of Serving and Eventing, beside any Kubernetes API",
    "diff": "show what a change would push to data planes",
    "down": "stop the mesh of a data directory",
    "env": "print the variables with which kn and kubectl find the mesh",
    "events": "see events and what became of them",
    "functions": "serve functions on this machine, begin a new one",
    "gateway": "run the data plane at the edge of the mesh",
    "get": "show objects of a mesh",
    "images": "make a directory or a container image runnable, list and remove images",
    "logs": "show what a function has written",
    "protocol": "check the declaration of a private protocol, show what it sees in frames",
    "routes": "show what a data plane would do with a request",
    "send": "put an event into a broker",
    "sidecar": "run the data plane beside a function",
    "status": "show what runs: processes, functions, brokers, data planes",
    "tap": "show exchanges as they pass through a gateway, activator or sidecar",
    "up": "run a whole mesh on this machine",
}
"""Command name -> one line of help; the module is `eventmesh.cli.<name with _ for ->`."""


class _Help(argparse.HelpFormatter):
    """Help of one width: to learn the terminal's, argparse loads shutil and its compressors, 2 ms of every start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 failed, 2 wrong usage or configuration, 3 unavailable."""
    words = list(sys.argv[1:] if argv is None else argv)
    called = words[0] if words and words[0] in COMMANDS else None
    # The others are declared only when they have to be shown: each costs a starting sidecar a part of a millisecond.
    parser = _parser(tuple(COMMANDS) if called is None else (called,), () if called is None else (called,))
    args = parser.parse_args(words)
    try:
        code: int = args.run(args)
    except MeshError as error:
        sys.stderr.write(f"eventmesh: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return code


def parser_of_all() -> argparse.ArgumentParser:
    """Return the parser with every command configured, which imports all of them."""
    return _parser(tuple(COMMANDS), tuple(COMMANDS))


def _parser(shown: Sequence[str], configured: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eventmesh", description="A serverless event-routing mesh for Knative.", formatter_class=_Help
    )
    parser.add_argument("--version", action="version", version=f"eventmesh {__version__}")
    # `prog` is what argparse would find out by formatting a line of usage.
    commands = parser.add_subparsers(prog=parser.prog, metavar="COMMAND", required=True)
    for name in shown:
        sub = commands.add_parser(name, help=COMMANDS[name], description=COMMANDS[name], formatter_class=_Help)
        if name in configured:
            module = import_module(f"eventmesh.cli.{name.replace('-', '_')}")
            module.configure(sub)
            sub.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
