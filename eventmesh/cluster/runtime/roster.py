"""What the launcher keeps for a runtime that comes after the one it serves: processes, what is read from them, sockets.

The launcher outlives a runtime that is killed, and so do the processes that were given a label. What they write waits
in their pipes meanwhile, and clients wait at the listening sockets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eventmesh.cluster.runtime import wire


@dataclass(slots=True)
class _Entry:
    label: str
    kept: Sequence[int]
    status: int | None = None


class Roster:
    """The processes that the launcher has started, and descriptors of its own that belong to the next runtime."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._held: dict[str, Sequence[int]] = {}

    def add(self, pid: int, label: str = "", kept: Sequence[int] = ()) -> None:
        """Note that `pid` runs; `kept` are closed here when nobody can ask for them any more."""
        self._entries[pid] = _Entry(label, kept)

    def runs(self, pid: int) -> bool:
        """Return whether the process was started here and has not ended."""
        entry = self._entries.get(pid)
        return entry is not None and entry.status is None

    @property
    def running(self) -> list[int]:
        """Return every process that has not ended."""
        return [pid for pid, entry in self._entries.items() if entry.status is None]

    @property
    def unlabelled(self) -> list[int]:
        """Return the processes that end with their runtime."""
        return [pid for pid, entry in self._entries.items() if entry.status is None and not entry.label]

    def ended(self, pid: int, status: int, *, told: bool) -> None:
        """Forget a process that has ended; one with a label that no runtime was `told` of is kept for the next."""
        entry = self._entries[pid]
        if told or not entry.label:
            del self._entries[pid]
            _close(entry.kept)
        else:
            entry.status = status

    def hold(self, name: str, sockets: Sequence[int]) -> None:
        """Keep `sockets` under `name`, in the place of what was kept under it."""
        _close(self._held.pop(name, ()))
        self._held[name] = sockets

    def tell(self) -> Iterator[tuple[wire.Message, Sequence[int]]]:
        """Yield everything that a new runtime is told, each with its descriptors; what has ended is then forgotten."""
        for name, sockets in self._held.items():
            yield wire.Held(name), sockets
        for pid, entry in [(pid, entry) for pid, entry in self._entries.items() if entry.label]:
            yield wire.Survivor(pid, entry.label, entry.status), entry.kept
            if entry.status is not None:
                del self._entries[pid]
                _close(entry.kept)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
