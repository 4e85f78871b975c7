"""A disk of a few megabytes, to be filled to the last byte: a tmpfs, which root may mount."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount the small disk that is filled here")


@dataclass(frozen=True)
class SmallDisk:
    """Mounted at `directory`."""

    directory: Path

    @property
    def _ballast(self) -> Path:
        return self.directory / "ballast"

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.directory)
        return found.f_bavail * found.f_frsize

    def fill(self) -> None:
        """Leave no byte free; again after something has gone."""
        with open(self._ballast, "ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error

    def resize(self, mebibytes: int, files: int) -> None:
        """Have it hold so much, and so many files and directories, its own among them."""
        options = f"remount,size={mebibytes}m,nr_inodes={files}"
        subprocess.run(["mount", "-o", options, str(self.directory)], check=True)

    def make_room(self) -> None:
        """Take away what `fill` has put there."""
        self._ballast.unlink()


@contextmanager
def small_disk(directory: Path, mebibytes: int, files: int = 0) -> Iterator[SmallDisk]:
    """Mount one at `directory`, which is made; gone afterwards with all that is on it. `files` as for `resize`."""
    directory.mkdir(parents=True, exist_ok=True)
    options = f"size={mebibytes}m,mode=0755,nr_inodes={files}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small-disk", str(directory)], check=True)
    try:
        yield SmallDisk(directory)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
