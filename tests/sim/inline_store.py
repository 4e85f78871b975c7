"""The embedded store without threads, so that a seed decides everything, and with a way to be killed."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw
import pytest

from eventmesh.activator.broker.store import sqlite
from eventmesh.activator.broker.store.committer import MAX_BATCH, Committer, _Inbox, _Job, _resolve_all
from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.store.upkeep import Upkeep
from eventmesh.base.clock import Clock
from tests.sim.virtual_time import at_once

T = TypeVar("T")

MAX_DISK_S = 0.02
"""Longest that a commit takes; what comes meanwhile shares the next one."""


class InlineCommitter(Committer):
    """Commits in the event loop, some time after it was asked to."""

    delays = random.Random(0)

    def __init__(self, connection: apsw.Connection, name: str, upkeep: Upkeep) -> None:
        self._connection = connection
        self._upkeep = upkeep
        self._inbox = _Inbox()
        self._due: asyncio.TimerHandle | None = None
        self.commits = self.writes = 0

    def submit(self, work: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        if self._inbox.closed:
            raise StoreError("the event store is closed")
        job: _Job[T] = _Job(work, loop, loop.create_future())
        self._inbox.jobs.append(job)  # type: ignore[arg-type]  # as in the base class
        if self._due is None:
            self._due = loop.call_later(self.delays.uniform(0.0, MAX_DISK_S), self._pump)
        return job.future

    def _pump(self) -> None:
        self._due = None
        jobs, self._inbox.jobs = self._inbox.jobs[:MAX_BATCH], self._inbox.jobs[MAX_BATCH:]
        if jobs:
            self._commit(jobs)
            _resolve_all(jobs)
        while self._upkeep.step():
            pass
        if self._inbox.jobs:
            self._due = asyncio.get_running_loop().call_later(self.delays.uniform(0.0, MAX_DISK_S), self._pump)

    def close(self) -> None:
        self._inbox.closed = True
        if self._due is not None:
            self._due.cancel()
        if self._inbox.jobs:
            self._commit(self._inbox.jobs)
        self._upkeep.close()


class KillableStore(SqliteStore):
    """A store that can end as a killed process does."""

    def kill(self) -> None:
        """Leave everything as it is, and give the handles back."""
        committer = self.committer
        assert isinstance(committer, InlineCommitter)
        committer._inbox = _Inbox(closed=True)
        if committer._due is not None:
            committer._due.cancel()
        committer._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._reader.close()
        self.history.close()
        committer._connection.close()
        self._upkeep._sums.close()
        os.close(self._lock)


def opened(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> KillableStore:
    """Open a store without threads."""
    monkeypatch.setattr(sqlite, "Committer", InlineCommitter)
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    return KillableStore(path, clock)
