"""What strace wrote of a program's syncs."""

from __future__ import annotations

import re
from pathlib import Path

SYNC_CALLS = "trace=fsync,fdatasync,openat"
"""What strace has to look at."""


def syncs(trace: Path) -> int:
    """Return how often a file was synced to disk, or opened so that each write is."""
    return len(re.findall(r"f(data)?sync\(.*= 0|f(data)?sync resumed.*= 0|O_SYNC", trace.read_text()))
