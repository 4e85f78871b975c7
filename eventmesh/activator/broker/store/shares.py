"""Who works on what, where several processes share a store: each trigger is worked on by one of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

HOUSEKEEPING = "housekeeping"
"""The share of whoever keeps the store small."""


class Shares(Protocol):
    """The part of one process."""

    def want(self, shares: Collection[str]) -> None:
        """Say what there is to work on: UIDs of triggers. HOUSEKEEPING is always wanted."""
        ...

    def mine(self, share: str) -> bool:
        """Return whether this process is to work on it now."""
        ...

    async def held_by_others(self) -> Collection[str]:
        """Return what other processes work on, or may begin to. Raises StoreError."""
        ...

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever `mine` may answer otherwise."""
        ...

    def began(self, share: str) -> None:
        """Say that this process works on it: no other may before it has `ended`."""
        ...

    def ended(self, share: str) -> None:
        """Say that this process works on it no more: where it is not its own any longer, another may begin."""
        ...

    async def leave(self) -> None:
        """Give up everything, all work on it having ended."""
        ...


class Alone:
    """The `Shares` of a process that has a store for itself."""

    def want(self, shares: Collection[str]) -> None:
        """Do nothing: all is its own."""

    def mine(self, share: str) -> bool:
        """Return True."""
        return True

    async def held_by_others(self) -> Collection[str]:
        """Return nothing: there are none."""
        return ()

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Do nothing: it never changes."""

    def began(self, share: str) -> None:
        """Do nothing: nobody else would."""

    def ended(self, share: str) -> None:
        """Do nothing: nobody waits for it."""

    async def leave(self) -> None:
        """Do nothing: nobody is there to take over."""
