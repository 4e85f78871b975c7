"""Opening the embedded store's file: one process at a time, nothing of what was acknowledged missing."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import apsw

from eventmesh.activator.broker.store.errors import CorruptStore, StoreError
from eventmesh.activator.broker.store.log_tail import HEADER, log_of, read_tail
from eventmesh.activator.broker.store.page_sums import PAGE_SIZE, Mark, PageSums
from eventmesh.activator.broker.store.schema import SCHEMA_VERSION, migrate
from eventmesh.activator.broker.store.upkeep import REPAIR, Upkeep
from eventmesh.base import log
from eventmesh.base.frozen import frozen

VERIFY_AT_ONCE = 16_384
"""Pages (64 MiB, some 70 ms) that are compared with their sums before anything is taken in; the rest is looked at
between transactions, and until then nothing is deleted."""

_log = log.get("activator.broker.store")


def make_directory(directory: Path) -> None:
    """Make the directory and those above it; SQLite syncs the entries of its files, nobody else those of these."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    handle = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@frozen
class Opened:
    """A store that has passed all checks."""

    connection: apsw.Connection
    """The one that writes."""
    last: int
    """The last sequence."""
    upkeep: Upkeep


def open_database(path: Path) -> Opened:
    """Open or create a store; raises CorruptStore when something that was acknowledged is missing."""
    if repaired_of(path).exists():
        raise CorruptStore(f"the repair of event store {path} was interrupted; to end it, {REPAIR} {path.parent}")
    try:
        connection = connect(path)
    except apsw.Error as error:
        raise _unusable(path, error) from error
    sums: PageSums | None = None
    try:
        sums = PageSums(path)
        mark = sums.mark()
        _check_log(connection, path, mark)
        _adopt(connection, path, sums)
        upkeep = Upkeep(connection, path, sums)
        upkeep.verify(VERIFY_AT_ONCE)
        upkeep.before()
        last = _verify(connection, path, mark)
    except BaseException as error:
        connection.close()
        if sums is not None:
            sums.close()
        if isinstance(error, apsw.Error):
            raise _unusable(path, error) from error
        raise
    # Until now nothing may have been copied out of the log or deleted; from now on closing it tidies up.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    return Opened(connection, last, upkeep)


def repaired_of(path: Path) -> Path:
    """Return where a repair puts the store that is to take the place of a damaged one."""
    return path.with_name(f"{path.name}-repaired")


def _unusable(path: Path, error: apsw.Error) -> CorruptStore:
    return CorruptStore(f"event store {path} cannot be opened: {error}; {REPAIR} {path.parent}")


def _check_log(connection: apsw.Connection, path: Path, mark: Mark | None) -> None:
    """Raise CorruptStore when SQLite is about to forget transactions that were acknowledged."""
    # The first read recovers the log.
    connection.pragma("schema_version")
    frames = max(0, connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0])
    file = log_of(path)
    tail = read_tail(file, frames)
    marked = mark.frames if mark else 0
    if tail is None or tail.offset < HEADER.size:
        if tail is not None and tail.header_broken:
            # Torn when the log was begun anew: what it had held until then was in the database.
            if mark is None or marked or tail.salts != mark.salts:
                raise _damaged_log(connection, path, mark, "has a damaged header, so that nothing in it can be read")
        elif marked:
            raise _damaged_log(connection, path, mark, f"is gone or empty; it had {marked} pages")
        return
    lost = marked - frames if mark and mark.salts == tail.salts else 0
    if tail.acknowledged or lost > 0:
        pages = max(tail.acknowledged, lost)
        problem = f"is damaged at byte {tail.offset} or soon after; {pages} acknowledged pages lie there"
        raise _damaged_log(connection, path, mark, problem)
    if tail.frames:
        _log.warning("the log ends in an unfinished write, which was never acknowledged", file=file, pages=tail.frames)


def _damaged_log(connection: apsw.Connection, path: Path, mark: Mark | None, problem: str) -> CorruptStore:
    lost = ""
    with suppress(apsw.Error):
        ((last,),) = connection.execute("SELECT max(sequence) FROM events")
        if mark and mark.last > (last or 0):
            lost = f" (among them the events {(last or 0) + 1} to {mark.last})"
    return CorruptStore(f"event store {path}: its log {log_of(path)} {problem}{lost}; {REPAIR} {path.parent}")


def _adopt(connection: apsw.Connection, path: Path, sums: PageSums) -> None:
    """Make the sums of a store that has none yet: a new one, or one of an earlier version."""
    page_size = connection.pragma("page_size")
    if page_size != PAGE_SIZE:
        raise StoreError(f"event store {path} has pages of {page_size} bytes; those of a store have {PAGE_SIZE}")
    if not sums.is_new:
        return
    ((problem,),) = connection.execute("PRAGMA quick_check(1)")
    if problem != "ok":
        raise CorruptStore(f"event store {path} is damaged: {problem}; {REPAIR} {path.parent}")
    sums.renew(range(1, sums.pages + 1))
    sums.sync()


def connect(path: Path) -> apsw.Connection:
    """Return a connection whose commits are on disk when they return. Closing it leaves the log as it is."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5_000)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    # One call each: of several statements in one `execute`, apsw runs those behind the first row on demand only.
    connection.pragma("journal_mode", "wal")
    # The log is synced at each commit, before the 202. NORMAL would sync at checkpoints only.
    connection.pragma("synchronous", "FULL")
    # Checkpoints are made by `Upkeep`, which sums what they copy.
    connection.pragma("wal_autocheckpoint", 0)
    return connection


def lock(path: Path) -> int:
    """Return the handle of a lock that no other process has; raises StoreError when one has it."""
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise StoreError(
            f"event store {path} is in use by another process: stop it, or choose another --data-dir"
        ) from error
    return handle


def _verify(connection: apsw.Connection, path: Path, mark: Mark | None) -> int:
    """Create the schema or check what is there; return the last sequence."""
    version = connection.pragma("user_version")
    if version == 1 or version > SCHEMA_VERSION:
        raise StoreError(
            f"event store {path} has format {version}; this version of eventmesh reads 2 to {SCHEMA_VERSION}"
        )
    if version != SCHEMA_VERSION:
        migrate(connection, version)
    ((first, last, count),) = connection.execute("SELECT min(sequence), max(sequence), count(*) FROM events")
    if count and last - first + 1 != count:
        missing = last - first + 1 - count
        raise CorruptStore(
            f"event store {path} lacks {missing} of the events {first} to {last}; {REPAIR} {path.parent}"
        )
    if mark and mark.last > (last or 0):
        raise CorruptStore(
            f"event store {path} lacks the events {(last or 0) + 1} to {mark.last}; {REPAIR} {path.parent}"
        )
    return int(last or 0)
