"""Puts changes into the journal: those that come while an entry is on its way go into the next one, and share its sync.

One entry is on its way at a time, so that what one author writes keeps its order whatever the connection does.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from eventmesh.activator.broker.store.changes import Change
from eventmesh.activator.broker.store.errors import EventTooLong, StoreError
from eventmesh.activator.broker.store.shared import entries
from eventmesh.activator.broker.store.shared.entries import ENTRY_OVERHEAD, Author, Written
from eventmesh.activator.broker.store.shared.journal import Journal

T = TypeVar("T")

MAX_TOGETHER = 512
"""Changes of one entry: more would make the first of them wait longer than the sync it saves."""

MAX_WAITING = 20_000
"""Changes that may wait for the journal; one more is refused: a server that stands still costs bounded memory."""

MAX_WAITING_BYTES = 256 << 20
"""And what they may take."""

WRITE_WAIT_S = 15.0
"""How long a change may take until it is part of the view: a server that is started anew needs a few seconds."""


@dataclass(slots=True)
class _Waiting:
    change: Change[Any]
    written: Written
    future: asyncio.Future[Any]


@dataclass(slots=True)
class _Sent:
    """An entry of this process, until it is both durable and part of the view."""

    waiting: Sequence[_Waiting]
    durable: bool = False
    results: Sequence[Any] | None = None

    def settle(self) -> bool:
        """Tell the authors what came of their changes, once both is so; return whether it is."""
        if not self.durable or self.results is None:
            return False
        for each, result in zip(self.waiting, self.results, strict=True):
            if each.future.done():
                continue
            if isinstance(result, BaseException):
                each.future.set_exception(result)
            else:
                each.future.set_result(result)
        return True

    def fail(self, error: BaseException) -> None:
        """Tell them that nobody knows."""
        for each in self.waiting:
            if not each.future.done():
                each.future.set_exception(error)


@dataclass(slots=True)
class Writer:
    """The writing side of one process."""

    journal: Journal
    name: bytes = field(default_factory=lambda: os.urandom(16))
    _queue: deque[_Waiting] = field(default_factory=deque)
    _bytes: int = 0
    _sent: dict[int, _Sent] = field(default_factory=dict)
    _number: int = 0
    _closed: bool = False
    _asked: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, change: Change[T]) -> T:
        """Return what came of the change in this process's view; raises StoreError when that is not known."""
        written = entries.write(change)
        longest = self.journal.max_entry_bytes - ENTRY_OVERHEAD
        if written.size > longest:
            raise EventTooLong(written.size, longest)
        if len(self._queue) >= MAX_WAITING or self._bytes + written.size > MAX_WAITING_BYTES:
            raise StoreError(f"{len(self._queue)} changes wait for the journal: try again later")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(change, written, future))
        self._bytes += written.size
        self._asked.set()
        self._idle.clear()
        try:
            async with asyncio.timeout(WRITE_WAIT_S):
                return await future
        except TimeoutError:
            raise StoreError(f"the journal did not come back with a change within {WRITE_WAIT_S:.0f} s") from None

    async def run(self) -> None:
        """Write what waits, until cancelled or closed."""
        while not self._closed:
            if not self._queue:
                self._idle.set()
            await self._asked.wait()
            self._asked.clear()
            while self._queue:
                await self._write(self._take())

    async def drained(self) -> None:
        """Return once nothing waits to be written."""
        await self._idle.wait()

    def _take(self) -> list[_Waiting]:
        room = self.journal.max_entry_bytes - ENTRY_OVERHEAD
        taken: list[_Waiting] = []
        while self._queue and len(taken) < MAX_TOGETHER and (not taken or self._queue[0].written.size <= room):
            each = self._queue.popleft()
            room -= each.written.size
            self._bytes -= each.written.size
            # Whoever has gone away (a sender that hung up, a Trigger that was deleted) need not be written for.
            if not each.future.done():
                taken.append(each)
        return taken

    async def _write(self, waiting: list[_Waiting]) -> None:
        if not waiting:
            return
        self._number += 1
        sent = self._sent[self._number] = _Sent(waiting)
        try:
            await self.journal.append(entries.pack(Author(self.name, self._number), [each.written for each in waiting]))
        except Exception as error:
            # Whatever it is: this task must go on, or every later change would wait in vain.
            self._sent.pop(self._number, None)
            failure = (
                error if isinstance(error, StoreError) else StoreError(f"the journal could not be written: {error}")
            )
            sent.fail(failure)
            return
        sent.durable = True
        if sent.settle():
            self._sent.pop(self._number, None)

    def own(self, author: Author) -> Sequence[Change[Any]] | None:
        """Return the changes of an entry that this process wrote and still knows."""
        sent = self._sent.get(author.number) if author.writer == self.name else None
        return None if sent is None else [each.change for each in sent.waiting]

    def applied(self, author: Author, results: Sequence[Any]) -> bool:
        """Take in what came of an entry; return whether it was one of this process."""
        sent = self._sent.get(author.number) if author.writer == self.name else None
        if sent is None:
            return False
        sent.results = results
        if sent.settle():
            del self._sent[author.number]
        return True

    def close(self) -> None:
        """Write no more; who still waits is told."""
        self._closed = True
        self.fail(StoreError("the event store is closed"))
        self._asked.set()

    def fail(self, error: BaseException) -> None:
        """Give up on everything that is not known to be in the view."""
        for sent in self._sent.values():
            sent.fail(error)
        self._sent.clear()
        for each in self._queue:
            if not each.future.done():
                each.future.set_exception(error)
        self._queue.clear()
        self._bytes = 0
