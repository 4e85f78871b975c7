"""What strace wrote of a program's syncs."""

from __future__ import annotations

import re
from pathlib import Path

STRACE = ("strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,openat")
"""In front of a command, with `-o FILE`."""


def syncs(trace: Path) -> int:
    """Return how often a file was synced to disk, or opened so that each write is."""
    return len(re.findall(r"f(data)?sync\(.*= 0|f(data)?sync resumed.*= 0|O_SYNC", trace.read_text()))
