"""Group commit: one thread owns the writing connection and puts all waiting writes into one transaction, one sync.

The event loop never waits for the disk; a caller's future resolves after the commit that holds its write.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import apsw

from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.upkeep import Upkeep

T = TypeVar("T")

MAX_BATCH = 512
"""Writes of one transaction. More would make the first of them wait longer than the sync it saves."""

MAX_WAITING = 20_000
"""Writes that may wait for the disk; one more is refused, so that a stalled disk costs bounded memory."""

_DISK_ERRORS = (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NoMemError, apsw.ReadOnlyError)
"""Errors that say nothing about the write that met them."""


def is_disk_error(error: Exception) -> bool:
    """Return whether the disk is at fault, and not the write that met the error."""
    return isinstance(error, _DISK_ERRORS)


@dataclass(slots=True)
class _Job(Generic[T]):
    work: Callable[[apsw.Connection], T]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None

    def resolve(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # T may itself be None


@dataclass(slots=True)
class _Inbox:
    jobs: list[_Job[object]] = field(default_factory=list)
    closed: bool = False


class Committer:
    """The writing side of a store's database."""

    def __init__(self, connection: apsw.Connection, name: str, upkeep: Upkeep) -> None:
        """`upkeep` belongs to the connection and closes it."""
        self._connection = connection
        self._upkeep = upkeep
        self._inbox = _Inbox()
        self._ready = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"{name}-committer", daemon=True)
        self._thread.start()
        self.commits = 0
        """Transactions committed so far; with `writes` it tells how many writes share a sync."""
        self.writes = 0

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in the next transaction; return its result after the commit.

        `work` may be run again, when another write of the same transaction failed. Raises what it raised (its own
        changes are undone, those of others stand), or StoreError when the commit failed or too many writes wait.
        """
        return await self.submit(work)

    def submit(self, work: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        """Like `write`, but return at once; raises StoreError when closed or when too many writes wait."""
        loop = asyncio.get_running_loop()
        job: _Job[T] = _Job(work, loop, loop.create_future())
        with self._ready:
            if self._inbox.closed:
                raise StoreError("the event store is closed")
            if len(self._inbox.jobs) >= MAX_WAITING:
                raise StoreError(f"more than {MAX_WAITING} writes wait for the disk: try again later")
            self._inbox.jobs.append(job)  # type: ignore[arg-type]  # the list holds jobs of every result type
            self._ready.notify()
        return job.future

    def close(self) -> None:
        """Commit what waits, end the thread, close the connection."""
        with self._ready:
            self._inbox.closed = True
            self._ready.notify()
        self._thread.join()
        self._upkeep.close()

    def _run(self) -> None:
        while True:
            more = self._upkeep.step()
            with self._ready:
                while not self._inbox.jobs and not self._inbox.closed and not more:
                    self._ready.wait()
                jobs, self._inbox.jobs = self._inbox.jobs[:MAX_BATCH], self._inbox.jobs[MAX_BATCH:]
                ended = self._inbox.closed and not jobs
            if ended:
                return
            if jobs:
                self._commit(jobs)
                self._hand_back(jobs)

    def _commit(self, jobs: list[_Job[object]]) -> None:
        # One write that fails must not take the others with it. That is rare: instead of a savepoint for each, the
        # transaction is begun again without the one that failed.
        left = jobs
        while left and (failed := self._attempt(left)) is not None:
            left = [job for job in left if job is not failed]

    def _attempt(self, jobs: list[_Job[object]]) -> _Job[object] | None:
        """Commit all of `jobs`, or fail all of them; or undo everything and return the one that failed by itself."""
        try:
            self._upkeep.before()
            self._connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                if not self._perform(job):
                    self._roll_back()
                    return job
            self._connection.execute("COMMIT")
        except Exception as error:
            # Whatever it is: this thread must go on, or every later write would wait for ever.
            self._roll_back()
            failure = error
            if not isinstance(error, StoreError):
                failure = StoreError(f"the event store could not commit: {error}")
                failure.__cause__ = error
            for job in jobs:
                job.error = failure
        else:
            # Without the mark a later look at the log knows less; what was committed is on disk all the same.
            with contextlib.suppress(apsw.Error, OSError):
                self._upkeep.acknowledge()
            self.commits += 1
            self.writes += len(jobs)
        return None

    def _perform(self, job: _Job[object]) -> bool:
        """Return whether the write succeeded; raises apsw.Error when the disk, not the write, is at fault."""
        try:
            job.result = job.work(self._connection)
        except Exception as error:
            # SQLite itself undoes the whole transaction when it cannot write.
            if is_disk_error(error) or not self._connection.in_transaction:
                raise
            job.error = error
            return False
        return True

    def _roll_back(self) -> None:
        # If even this fails, BEGIN will, and tell.
        with contextlib.suppress(apsw.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @staticmethod
    def _hand_back(jobs: list[_Job[object]]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[_Job[object]]] = {}
        for job in jobs:
            by_loop.setdefault(job.loop, []).append(job)
        for loop, theirs in by_loop.items():
            # A loop that has stopped has nobody waiting any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve_all, theirs)


def _resolve_all(jobs: list[_Job[object]]) -> None:
    for job in jobs:
        job.resolve()
