"""The flag `--data-dir`, the same for every command that uses it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from eventmesh.base.errors import UnavailableError


def default() -> Path:
    """Return where a user's mesh keeps its state: `$EVENTMESH_DATA_DIR`, or `eventmesh` in the XDG data home."""
    chosen = os.environ.get("EVENTMESH_DATA_DIR")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "eventmesh"


def add_flag(parser: argparse.ArgumentParser) -> None:
    """Declare `--data-dir`; its default can be set by `EVENTMESH_DATA_DIR`."""
    parser.add_argument(
        "--data-dir", type=Path, default=default(), metavar="DIR", help="where the mesh keeps its state (%(default)s)"
    )


def prepared(directory: Path, flag: str = "--data-dir") -> Path:
    """Return the absolute path of `directory`, made if need be; raises UnavailableError naming `flag`."""
    absolute = directory.absolute()
    try:
        absolute.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{flag} {absolute}: cannot be made: {error.strerror}") from None
    if not os.access(absolute, os.W_OK | os.X_OK):
        raise UnavailableError(f"{flag} {absolute}: may not be written to by this user")
    return absolute
