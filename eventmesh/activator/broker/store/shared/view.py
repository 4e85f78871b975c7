"""What the journal has said so far, in tables: the embedded store's own, so that every question has the same answer.

A view is no more than a copy. It is not synced; one that is damaged, or too old for the journal, is thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw

from eventmesh.activator.broker.store.arrivals import Arrival
from eventmesh.activator.broker.store.changes import Change, Write
from eventmesh.activator.broker.store.committer import is_disk_error
from eventmesh.activator.broker.store.insertion import Accept, insert
from eventmesh.activator.broker.store.opening import connect
from eventmesh.activator.broker.store.records import encode
from eventmesh.activator.broker.store.settling import Settle
from eventmesh.activator.broker.store.shared.membership import TABLES, State
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.store.values import Attempt, NewEvent, Settlement, StoredEvent
from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen

T = TypeVar("T")

SETTLED_TOGETHER = 100
"""Ends and attempts of one change: a kibibyte of an answer each and what is said of it, so that an entry holds them."""

_PLACE = """
CREATE TABLE IF NOT EXISTS journal (
  only INTEGER PRIMARY KEY CHECK (only = 1), identity TEXT NOT NULL, position INTEGER NOT NULL);
"""


@frozen
class Place:
    """How far a view is."""

    identity: str
    """Of the journal; empty: it has seen none."""
    position: int


NOWHERE = Place("", 0)


@frozen
class Step:
    """What one entry of the journal says."""

    position: int
    changes: Sequence[Change[Any]]


class View(SqliteStore):
    """An `EventStore` that has its changes written by somebody else, and is told of them by `apply`."""

    def __init__(self, path: Path, clock: Clock, write: Write) -> None:
        """Open or create the view; raises what the embedded store raises."""
        super().__init__(path, clock, synced=False)
        self._path = path
        self._write = write

    async def write(self, change: Change[T]) -> T:
        """Have the change made by all who share the store; return what came of it here."""
        return await self._write(change)

    async def append(self, new: NewEvent) -> StoredEvent:
        """Return once the event is in the journal, and here."""
        (stored,) = await self.write(Accept([Arrival(new, encode(new), self._clock.now().timestamp())]))
        return stored

    async def settle(self, settlements: Sequence[Settlement], attempts: Sequence[Attempt] = ()) -> None:
        """Record ends and attempts, as many at a time as an entry holds; of a longer list attempts go first."""
        now = self._clock.now().timestamp()
        if len(settlements) + len(attempts) <= SETTLED_TOGETHER:
            await self.write(Settle(settlements, attempts, now))
            return
        for at in range(0, len(attempts), SETTLED_TOGETHER):
            await self.write(Settle((), attempts[at : at + SETTLED_TOGETHER], now))
        for at in range(0, len(settlements), SETTLED_TOGETHER):
            await self.write(Settle(settlements[at : at + SETTLED_TOGETHER], (), now))

    async def place(self) -> Place:
        """Return how far it is; makes the tables that a view has beside those of a store."""
        return await self.committer.write(_place)

    async def apply(self, identity: str, steps: Sequence[Step]) -> list[list[Any]]:
        """Make what some entries say in one transaction; return for each change what came of it, or what it raised."""
        return await self.committer.write(lambda connection: _apply(connection, identity, steps))

    async def members(self) -> State:
        """Return who shares the store."""
        members = await self.history.read("SELECT member, beats FROM members", ())
        shares = await self.history.read("SELECT share, member FROM shares", ())
        return State(dict(members), dict(shares))

    def copy(self, into: Path) -> int:
        """Write a copy of it, as it is at one moment; return its position. Takes seconds: not for the event loop."""
        connection = connect(self._path)
        try:
            connection.execute("VACUUM INTO ?", (str(into),))
        finally:
            connection.close()
        with apsw.Connection(str(into)) as made:
            ((position,),) = made.execute("SELECT position FROM journal")
        made.close()
        return int(position)


def _place(connection: apsw.Connection) -> Place:
    connection.execute(_PLACE + TABLES)
    rows = list(connection.execute("SELECT identity, position FROM journal"))
    return Place(*rows[0]) if rows else NOWHERE


def _apply(connection: apsw.Connection, identity: str, steps: Sequence[Step]) -> list[list[Any]]:
    results = [_made(connection, step.changes) for step in steps]
    connection.execute("INSERT OR REPLACE INTO journal VALUES (1, ?, ?)", (identity, steps[-1].position))
    return results


def _made(connection: apsw.Connection, changes: Sequence[Change[Any]]) -> list[Any]:
    results: list[Any] = []
    at = 0
    while at < len(changes):
        accepts = _accepts(changes, at)
        if len(accepts) > 1:
            # Events that came one by one go in together, as in the embedded store.
            stored = iter(insert(connection, [arrival for accept in accepts for arrival in accept.arrivals]))
            results += [[next(stored) for _ in accept.arrivals] for accept in accepts]
            at += len(accepts)
        else:
            results.append(_one(connection, changes[at]))
            at += 1
    return results


def _accepts(changes: Sequence[Change[Any]], at: int) -> list[Accept]:
    """Return the changes from `at` on that do nothing but take events in."""
    found: list[Accept] = []
    while at < len(changes) and isinstance(change := changes[at], Accept):
        found.append(change)
        at += 1
    return found


def _one(connection: apsw.Connection, change: Change[Any]) -> Any:
    connection.execute("SAVEPOINT change")
    try:
        result = change.apply(connection)
    except Exception as error:
        # One that fails here fails everywhere, and leaves nothing behind; its author hears of it. The disk is another
        # matter: it fails here alone.
        if is_disk_error(error) or not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO change")
        result = error
    connection.execute("RELEASE change")
    return result
