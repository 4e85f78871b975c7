"""What a store answers when it cannot keep its promise, and when what it kept is not there any more."""

from __future__ import annotations

from collections.abc import Sequence

from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.base.errors import MeshError


class StoreError(MeshError):
    """The store cannot keep its promise now (disk full, file locked, closed); the sender gets a 503 and tries again."""

    exit_code = 3


class EventTooLong(StoreError):
    """The store cannot take so long an event, now or later; the sender gets a 413."""

    def __init__(self, size: int, longest: int) -> None:
        super().__init__(f"with its attributes the event takes {size} bytes; the store takes up to {longest}")


class DataTooLong(EventTooLong):
    """The event is longer than any that is taken in here, whatever the store would take."""

    def __init__(self, size: int, longest: int) -> None:
        StoreError.__init__(self, f"the data of the event takes {size} bytes; events here have up to {longest}")


class CorruptStore(StoreError):
    """What is on disk is not what was acknowledged; the message says which file and record, and what can be done."""

    until = "it is repaired (eventmesh events repair)"
    """What a sender is told to wait for."""


class CorruptJournal(CorruptStore):
    """What was acknowledged is missing in a journal, or is not what was written. It can be put right where the journal
    is, and nowhere else."""

    until = "its journal is restored (the log of the activator says what is missing)"


class DamagedEvent(CorruptStore):
    """One event cannot be read as it was written; all others can. `before` holds those that were read before it."""

    def __init__(self, sequence: int, problem: str, before: Sequence[StoredEvent] = ()) -> None:
        super().__init__(f"event {sequence} {problem}")
        self.sequence = sequence
        self.problem = problem
        self.before = before
