"""The mesh that runs on a data directory, for commands that are about it."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.running import Running, find


def running(args: argparse.Namespace) -> Running:
    """Return the mesh of `--data-dir`; raises UnavailableError when none runs there, or it is not ready yet."""
    directory: Path = args.data_dir.absolute()
    found = find(directory)
    if found is None:
        raise UnavailableError(
            f"no mesh runs on {directory}: start one with `eventmesh up`, or name another --data-dir"
        )
    if found.addresses is None:
        raise UnavailableError(f"the mesh on {directory} (process {found.main}) is not ready yet")
    return found
