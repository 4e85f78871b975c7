"""What may happen to a store. A change is a value: the embedded store applies it at once, a store that several
processes share writes it into its journal first, and each of them applies it to its own tables.

So that all of them hold the same, a change depends on nothing but itself and the tables it meets: no clock, no chance,
no size of a file.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import apsw

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Change(Protocol[T_co]):
    """A frozen dataclass of values that JSON or bytes can hold; runs in the committer's thread."""

    def apply(self, connection: apsw.Connection) -> T_co:
        """Make the change in the transaction under way; return what its author waits for."""
        ...


class Write(Protocol):
    """How a part of a store has something changed."""

    async def __call__(self, change: Change[T]) -> T:
        """Return what the change returned, once it is sure to last; raises StoreError."""
        ...
