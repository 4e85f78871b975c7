"""Where a function listens, looked up when it does not answer where it was told to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from eventmesh.base.clock import Clock

SILENT_AFTER_S: Final = 5.0
"""A function that has not answered by then is looked at: long after nearly all, long before its author gives up."""

LOOKED_AT_EVERY_S: Final = 10.0
"""And again, while it stays silent: what it listens on may have changed."""

MAX_PROCESSES: Final = 64
MAX_SOCKETS: Final = 4096
"""Of a function that are looked at: an answer within milliseconds, and enough for a server with workers."""

_LISTENS: Final = "0A"
"""TCP_LISTEN in /proc/net/tcp (proc(5))."""

_SOCKET: Final = re.compile(r"socket:\[(\d+)\]")


def listening_ports(pid: int, proc: Path = Path("/proc")) -> list[int]:
    """Return the TCP ports on which the process, or one that it has started, listens; raises OSError when that is not
    to be seen (it has ended, or belongs to somebody else)."""
    ours = set(islice(_sockets(pid, proc), MAX_SOCKETS))
    found: set[int] = set()
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # no IPv6 here
            for line in (proc / str(pid) / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and fields[9] in ours:
                    found.add(int(fields[1].rpartition(":")[2], 16))
    return sorted(found)


def _sockets(pid: int, proc: Path) -> Iterator[str]:
    """Yield the inode of each socket that the process or a descendant has open."""
    first = proc / str(pid) / "fd"
    os.listdir(first)  # Of the others it is no failure when they are gone.
    for each in islice(_family(pid, proc), MAX_PROCESSES):
        with suppress(OSError):
            for descriptor in os.listdir(proc / str(each) / "fd"):
                with suppress(OSError):
                    target = os.readlink(proc / str(each) / "fd" / descriptor)
                    if match := _SOCKET.fullmatch(target):
                        yield match[1]


def _family(pid: int, proc: Path) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for task in os.listdir(proc / str(pid) / "task"):
            for child in (proc / str(pid) / "task" / task / "children").read_text().split():
                yield from _family(int(child), proc)


def silence(port: int, ports: Collection[int] | None) -> str:
    """Return what to say of a function that does not answer on `port` and listens on `ports`; None: nobody knows."""
    if ports is None:
        return f"does not answer on port {port}"
    if port in ports:
        return f"listens on port {port}, but its readiness probe is not answered there"
    found = "port " + ", ".join(map(str, ports)) if ports else "no port"
    return f"listens on {found}; it is expected on {port}, as its PORT says"


async def watch_silence(
    pid: int, port: int, clock: Clock, is_silent: Callable[[], bool], tell: Callable[[str], None]
) -> None:
    """Look where the process listens for as long as it is silent, and tell what is found; return when it is not."""
    wait_s = SILENT_AFTER_S
    while True:
        await clock.sleep(wait_s)
        if not is_silent():
            return
        try:
            ports = listening_ports(pid)
        except OSError:
            ports = None
        tell(silence(port, ports))
        wait_s = LOOKED_AT_EVERY_S
