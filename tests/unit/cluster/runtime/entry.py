"""Entries that the launcher calls in tests."""

from __future__ import annotations

import os
import sys


def main(argv: list[str]) -> int:
    sys.stdout.write(f"{argv} {sorted(os.environ)}\n")
    return 3


def broken(argv: list[str]) -> int:
    return 1 // len(argv)


def knows(argv: list[str]) -> int:
    """Return whether this process has imported the module named."""
    return int(argv[1] in sys.modules)


def writes(argv: list[str]) -> int:
    """Return 5 when nobody reads what this process writes."""
    try:
        os.write(1, b"anybody?\n")
    except BrokenPipeError:
        return 5
    return 0
