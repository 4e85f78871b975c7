"""A journal in memory that several stores share, and whose faults a test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.shared.journal import Bounds, EntriesGone, Entry


class MemoryServer:
    """What a server keeps."""

    def __init__(self) -> None:
        self.identity = "first"
        self.entries: list[Entry] = []
        self.last = 0
        self.snapshot: bytes | None = None
        self.is_up = True
        self.connections = 0
        self.changed = asyncio.Condition()
        self.max_entry_bytes = 1 << 20

    async def set_up(self, *, up: bool) -> None:
        """Be reachable, or not."""
        async with self.changed:
            self.is_up = up
            self.connections += 1
            self.changed.notify_all()

    def bounds(self) -> Bounds:
        """Return what there is."""
        first = self.entries[0].position if self.entries else self.last + 1
        return Bounds(self.identity, first, self.last, sum(len(entry.content) for entry in self.entries))


class MemoryJournal:
    """A `Journal` over it."""

    where = "memory"
    warnings: Sequence[str] = ()

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    @property
    def max_entry_bytes(self) -> int:
        return self._server.max_entry_bytes

    def _reach(self) -> MemoryServer:
        if not self._server.is_up:
            raise StoreError("no connection")
        return self._server

    async def open(self) -> Bounds:
        return self._reach().bounds()

    async def append(self, content: bytes) -> None:
        server = self._reach()
        async with server.changed:
            server.last += 1
            server.entries.append(Entry(server.last, content))
            server.changed.notify_all()

    async def follow(self, after: int) -> AsyncIterator[Sequence[Entry]]:
        server = self._reach()
        connection = server.connections
        while server.connections == connection:
            if server.bounds().first > after + 1:
                raise EntriesGone("cut")
            batch = [entry for entry in server.entries if entry.position > after][:7]
            if batch:
                yield batch
                after = batch[-1].position
                continue
            async with server.changed:
                if server.connections == connection and server.last <= after:
                    await server.changed.wait()

    async def save(self, snapshot: Path) -> None:
        self._reach().snapshot = snapshot.read_bytes()

    async def load(self, into: Path) -> bool:
        snapshot = self._reach().snapshot
        if snapshot is None:
            return False
        into.write_bytes(snapshot)
        return True

    async def cut(self, through: int) -> None:
        server = self._reach()
        server.entries = [entry for entry in server.entries if entry.position > through]

    async def close(self) -> None:
        return
