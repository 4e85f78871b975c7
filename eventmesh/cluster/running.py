"""Which mesh runs on a data directory, as other processes of the machine find it: by the lock that it holds.

The lock says that it runs, and who it is; the file beside it says where it listens. Of a file that a killed mesh left
behind only the watchdog is believed, when it still runs: it starts the next.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from eventmesh.base import linux
from eventmesh.base.errors import UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.usage import Usage, own_usage
from eventmesh.cluster.store.history import LOCK_NAME

STORE: Final = "store"
"""Below the data directory: the objects, and their lock."""

_FILE: Final = Path("run") / "mesh.json"
MAX_PROCESSES: Final = 10_000
"""Processes of one mesh that are listed: pods are limited by their addresses, what they fork is not."""


@frozen
class Running:
    """A mesh that runs now."""

    pid: int
    """0 between two of its processes: the watchdog is about to start the next."""
    version: str = ""
    """Empty while it starts, here and below."""
    since: str = ""
    """RFC 3339."""
    kubeconfig: str = ""
    addresses: Mapping[str, str] | None = None
    """`host:port` of each listener by its name."""
    watchdog: int = 0
    """The process that starts this one again, and ends with it when it is told to; 0: there is none."""
    watchdog_started: str = ""
    """As `linux.start_time` says it: the number alone may have become another's."""

    @property
    def main(self) -> int:
        """Return the process whose end is the end of the mesh."""
        return self.watchdog or self.pid

    @property
    def is_watched(self) -> bool:
        """Return whether the watchdog still runs."""
        with suppress(OSError):
            return self.watchdog > 0 and linux.start_time(self.watchdog) == self.watchdog_started
        return False


@frozen
class Process:
    """One process of a mesh."""

    pid: int
    name: str
    usage: Usage


def tell(data_dir: Path, running: Running) -> None:
    """Write down where the mesh of this directory listens."""
    file = data_dir / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".tmp")
    partial.write_text(json.dumps(asdict(running), indent=1))
    os.replace(partial, file)


def find(data_dir: Path) -> Running | None:
    """Return the mesh that runs on `data_dir`, None when there is none; raises UnavailableError (not ours)."""
    pid = _holder(data_dir / STORE / LOCK_NAME)
    told = last_told(data_dir)
    if told is not None and told.pid == pid:
        return told
    watchdog = told.watchdog if told is not None and told.is_watched else 0
    return Running(pid or 0, watchdog=watchdog) if pid is not None or watchdog else None


def last_told(data_dir: Path) -> Running | None:
    """Return what the last mesh on `data_dir` has told, whether it runs or not; None: nothing that can be read."""
    with suppress(OSError, ValueError, TypeError):
        return Running(**json.loads((data_dir / _FILE).read_text()))
    return None


def processes(pid: int) -> list[Process]:
    """Return `pid` and everything that it and its children have started, in the order of their ids."""
    found: dict[int, Process] = {}
    waiting = [pid]
    while waiting and len(found) < MAX_PROCESSES:
        number = waiting.pop()
        # Any of them may end while it is looked at.
        with suppress(OSError):
            name = Path(f"/proc/{number}/comm").read_text().strip()
            found[number] = Process(number, name, own_usage(number))
            for task in os.listdir(f"/proc/{number}/task"):
                waiting += map(int, Path(f"/proc/{number}/task/{task}/children").read_text().split())
    return [found[number] for number in sorted(found)]


def _holder(lock: Path) -> int | None:
    """Return the process that holds the lock, which has written its id there.

    Asked of the kernel's list (proc(5), /proc/locks), not by trying: a mesh that just starts would be refused.
    """
    try:
        inode, text = lock.stat().st_ino, lock.read_text(encoding="ascii", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise UnavailableError(f"data directory {lock.parent.parent} may not be read by this user") from error
    for line in Path("/proc/locks").read_text().splitlines():
        # "1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF"; the device is not compared: btrfs names two for one file.
        words = line.split()
        if words[1:2] == ["FLOCK"] and words[4:5] == [text] and words[5].rpartition(":")[2] == str(inode):
            return int(text)
    return None
