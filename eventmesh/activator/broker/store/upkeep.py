"""What the committer does beside transactions: marks what was acknowledged, checkpoints, and looks for damage.

All of it runs in the committer's thread, between transactions: what is summed or compared does not change meanwhile.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from eventmesh.activator.broker.store.errors import CorruptStore, StoreError
from eventmesh.activator.broker.store.log_tail import log_of, pages_in, salts_of
from eventmesh.activator.broker.store.page_sums import SLICE_PAGES, Mark, PageSums
from eventmesh.activator.broker.store.sequences import BOUNDS
from eventmesh.base import log

CHECKPOINT_PAGES = 4_000
"""Pages of the log (16 MiB) after which they are copied to the database: often enough that a restart reads little,
seldom enough that a page written by many transactions is copied once."""

CHECKPOINT_AGAIN_PAGES = 1_000
"""Pages that the log grows by before the next checkpoint, when a reader did not let the last one come to its end."""

REPAIR = "to salvage what can be, stop the activator and run: eventmesh events repair --data-dir"

_log = log.get("activator.broker.store")


class Upkeep:
    """The upkeep of one store; has its connection's hook for commits."""

    def __init__(self, connection: apsw.Connection, database: Path, sums: PageSums) -> None:
        self._connection = connection
        self._log = log_of(database)
        self._sums = sums
        # The first look at the log was taken before.
        self._frames = max(0, connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0])
        self._salts = salts_of(self._log)
        self._checkpoint_at = CHECKPOINT_PAGES
        self._unsummed: set[int] = set()
        """Pages that were copied into the database and have an old sum."""
        self._looked_at = 0
        """Pages found to be what they were; the rest is still to be looked at."""
        self.verified = False
        """All pages have been looked at since the store was opened."""
        self.damage = ""
        """Why nothing is written or read any more; empty: there is no reason not to."""
        # This replaces SQLite's own checkpoints, which would leave the sums behind.
        connection.set_wal_hook(self._committed)

    def _committed(self, _connection: apsw.Connection, _database: str, frames: int) -> int:
        if not self._frames or frames <= self._frames:
            self._salts = salts_of(self._log)
        self._frames = frames
        return apsw.SQLITE_OK

    def refuse(self) -> None:
        """Raise CorruptStore when damage was found: nothing is to be read or written any more. For every thread."""
        if self.damage:
            raise CorruptStore(self.damage)

    def before(self) -> None:
        """Raise StoreError when nothing may be written now."""
        self.refuse()
        if self._unsummed:
            # The next write may begin the log anew; then a page without its sum would look damaged after a crash.
            try:
                self._sum()
            except OSError as error:
                raise StoreError(f"{self._sums.path} could not be written: {error.strerror}") from error

    def acknowledge(self) -> None:
        """Mark what was committed last as acknowledged."""
        ((first, last),) = self._connection.execute(BOUNDS)
        self._sums.acknowledge(Mark(self._salts, self._frames, first or 0, last or 0))

    def step(self) -> bool:
        """Do a piece of what is to be done; return whether there is more. Never raises."""
        try:
            if self._frames >= self._checkpoint_at:
                self.checkpoint()
            if not self.damage and not self.verified:
                self.verify(SLICE_PAGES)
        except (apsw.Error, OSError) as error:
            # The log grows, which harms nobody; what cannot be summed stops the next write (`before`).
            _log.error("event store", file=self._sums.path, reason=error)
            self._checkpoint_at = self._frames + CHECKPOINT_AGAIN_PAGES
            return False
        return not self.damage and not self.verified

    def checkpoint(self) -> None:
        """Copy the log into the database as far as readers allow, and sum that. Raises apsw.Error, OSError."""
        total, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._unsummed |= pages_in(self._log, copied)
        self._sum()
        if copied == total:
            # From now on the log may be begun anew, and its header be torn by a power cut: nothing of it is needed.
            self._checkpoint_at, self._frames = CHECKPOINT_PAGES, 0
            self.acknowledge()
            self._sums.sync()
        else:
            self._checkpoint_at = total + CHECKPOINT_AGAIN_PAGES

    def _sum(self) -> None:
        self._sums.renew(sorted(self._unsummed))
        self._sums.sync()
        self._unsummed.clear()

    def verify(self, pages: int) -> None:
        """Look at that many pages; sets `damage` when one is not what it was."""
        there = self._sums.pages
        differing = self._sums.differing(self._looked_at + 1, min(pages, there - self._looked_at))
        self._looked_at += pages
        self.verified = self._looked_at >= there
        if not differing:
            return
        frames, _ = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        # What is in the log is read from there, and may have been copied without its sum before a crash.
        damaged = sorted(set(differing) - pages_in(self._log, max(0, frames)))
        if damaged:
            self.damage = _damaged_pages(self._sums, damaged)
            # The log stays as it is: it may hold what the database has lost.
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            _log.error("event store", reason=self.damage)

    def close(self) -> None:
        """Copy the log into the database and close the connection, which deletes a log that is not needed."""
        try:
            if not self.damage:
                self.checkpoint()
        except (apsw.Error, OSError) as error:
            _log.error("event store", file=self._sums.path, reason=error)
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._connection.close()
        self._sums.close()


def _damaged_pages(sums: PageSums, damaged: list[int]) -> str:
    """Return the words that name damaged pages of the database."""
    database = sums.path.with_name(sums.path.name.removesuffix("-sums"))
    some = ", ".join(map(str, damaged[:5])) + (" and others" if len(damaged) > 5 else "")
    return (
        f"event store {database} is damaged: not what was written {'are pages' if damaged[1:] else 'is page'} {some}; "
        f"nothing is taken in or delivered; {REPAIR} {database.parent}"
    )
