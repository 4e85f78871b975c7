"""What is asked of the server behind a shared store: to keep entries in one order, and to hand them to everybody.

All that the broker promises of events is made of these entries by `shared.store`; an engine is no more than a
`Journal`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.base.frozen import frozen

MAX_READ = 256
"""Entries that become part of a view in one transaction."""

MIN_ENTRY_BYTES = 256 << 10
"""So long entries have to be let through: what a hundred ends of deliveries may take, and a thousand claims."""


@frozen
class Entry:
    """One entry, as every reader gets it."""

    position: int
    """Rises by one with each entry, and is never used twice."""
    content: bytes


@frozen
class Bounds:
    """What a journal holds now."""

    identity: str
    """Differs from that of every other journal, of one that had the same name before too."""
    first: int
    """Position of the oldest entry that is still there, or of the next one when there is none."""
    last: int
    """Position of the newest entry ever; 0: there has been none."""
    size_bytes: int


class EntriesGone(StoreError):
    """The entries that a reader asks for were cut off: it has to begin with the snapshot."""


class Journal(Protocol):
    """Raises StoreError whenever the server cannot be reached; it goes on by itself when it can."""

    @property
    def max_entry_bytes(self) -> int:
        """Return the length of the longest entry; known once it is open."""
        ...

    @property
    def where(self) -> str:
        """Return engine and servers, in words, without secrets."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """Return which promises the server cannot keep, or does not tell whether it does; in words, once it is open."""
        ...

    async def open(self) -> Bounds:
        """Connect, make the journal if there is none, and return its bounds; may be called again.

        Raises CorruptJournal when entries are missing in the midst, and StoreError also when a 202 would not be kept.
        """
        ...

    async def append(self, content: bytes) -> None:
        """Return once the entry is durable: on disk, or on as many servers as the journal is kept on.

        When it raises StoreError the entry may be there all the same, or may come later.
        """
        ...

    def follow(self, after: int) -> AsyncIterator[Sequence[Entry]]:
        """Yield the entries beyond a position, a few at a time; raises EntriesGone.

        It ends when the connection was made anew: `open` has to tell first whether the journal is still the same.
        """
        ...

    async def save(self, snapshot: Path) -> None:
        """Keep the file in place of the last one; all or nothing."""
        ...

    async def load(self, into: Path) -> bool:
        """Write the file that was saved last; return whether there is one."""
        ...

    async def cut(self, through: int) -> None:
        """Drop the entries up to that position: the snapshot tells what they said."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...
