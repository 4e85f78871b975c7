"""`eventmesh down`: stop the mesh of a data directory, wherever it was started."""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys

from eventmesh.base.errors import UnavailableError
from eventmesh.cli import data_dir
from eventmesh.cluster.running import find

TIMEOUT_S = 60
"""Longer than functions get to finish what they have begun (Kubernetes' 30 s), and the mesh itself after them."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    data_dir.add_flag(parser)
    parser.add_argument(
        "--timeout", type=int, default=TIMEOUT_S, metavar="S", help="seconds to wait for its end (%(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Return 0 when nothing runs on the directory (any more); raises UnavailableError when it does not end."""
    directory = args.data_dir.absolute()
    found = find(directory)
    if found is None:
        sys.stdout.write(f"no mesh runs on {directory}\n")
        return 0
    try:
        # A descriptor and not a number: what has taken the number meanwhile is never signalled.
        process = os.pidfd_open(found.main)
        signal.pidfd_send_signal(process, signal.SIGTERM)
    except ProcessLookupError:
        sys.stdout.write(f"no mesh runs on {directory}\n")
        return 0
    except PermissionError:
        raise UnavailableError(
            f"the mesh on {directory} (process {found.main}) is another user's: stop it as that user"
        ) from None
    if not select.select([process], [], [], args.timeout)[0]:
        raise UnavailableError(
            f"the mesh on {directory} (process {found.main}) was told to stop and still runs after {args.timeout} s"
        )
    sys.stdout.write(f"stopped the mesh on {directory}; its objects and events stay there\n")
    return 0
