"""What is told of a disk that cannot take what a pod needs."""

from __future__ import annotations

import errno
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    """Return whether something failed for want of room on a disk."""
    return error.errno in _FULL


def disk_trouble(error: OSError, directory: Path) -> str:
    """Return why something could not be kept for a pod, and what to do; `directory` is where its things are."""
    if not is_full(error):
        return str(error)
    return f"{error.filename or directory}: {error.strerror}; make room on its disk"
