"""`eventmesh gateway`: the data plane at the edge of the mesh."""

from __future__ import annotations

import argparse

from eventmesh.cli.data_plane import add_arguments, add_process_arguments, start


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_arguments(parser)
    add_process_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    return start(args, function=False)
