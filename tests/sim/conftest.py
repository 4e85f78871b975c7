"""Where simulated disks lie."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def memory() -> Iterator[Path]:
    """Return a directory in memory: syncs are simulated, and real ones would take their time thousands of times."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="eventmesh-") as directory:
        yield Path(directory)
