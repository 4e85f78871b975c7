"""`eventmesh sidecar`: the data plane beside a function, or a plain proxy when there is none."""

from __future__ import annotations

import argparse

from eventmesh.cli.data_plane import add_arguments, add_process_arguments, start


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_arguments(parser)
    add_process_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM; the function is described by Knative's queue-proxy variables (`USER_PORT`, ...)."""
    return start(args, function=True)
