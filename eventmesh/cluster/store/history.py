"""The file: one SQLite table of every change, in the manner of k3s' kine.

A row's id is the revision of the whole store. A row names the row it replaces, and no row can be replaced
twice (a unique index), so two writers can never both succeed from the same state. Superseded rows stay
for watchers that come back, until they are compacted.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.base.frozen import frozen

FILE_NAME = "objects.db"
LOCK_NAME = "objects.lock"
APPLICATION_ID = 0x6576_6D73
"""`evms`: tells our file from any other SQLite database."""
SCHEMA_VERSION = 1
BUSY_TIMEOUT_MS = 2_000
"""Only our own checkpoint connection can hold the file, and for milliseconds."""

_DISK_ERRORS = (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.BusyError)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_PID_CHARS = 10

_SCHEMA = """
CREATE TABLE history (
    revision INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    space    TEXT NOT NULL,
    name     TEXT NOT NULL,
    previous INTEGER NOT NULL,
    deleted  INTEGER NOT NULL,
    written  REAL NOT NULL,
    value    BLOB NOT NULL
);
CREATE UNIQUE INDEX history_chain ON history (kind, space, name, previous);
CREATE TABLE compaction (floor INTEGER NOT NULL);
INSERT INTO compaction VALUES (0);
"""


class StorageError(UnavailableError):
    """The disk does not take a write; nothing of it is stored. The message says where, and what to do."""


class StoreCorruptError(MeshError):
    """The file cannot be trusted; the message says which, what is wrong and what to do."""

    exit_code = 3


@frozen
class Row:
    """One change as stored; `value` is the object after it (for a deletion: as it last was)."""

    revision: int
    kind: str
    namespace: str
    name: str
    previous: int
    """The revision of the row this one replaces; 0 for a creation."""
    deleted: bool
    value: bytes


class History:
    """The open file. One process at a time; not for use from several threads, except `checkpoint`."""

    def __init__(self, directory: Path) -> None:
        """Open or create the history in `directory`.

        Raises UnavailableError when another process has it open, StorageError when there is no room even to open it,
        StoreCorruptError when the file is damaged or not ours.
        """
        self.path = directory / FILE_NAME
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(directory)
        except OSError as error:
            raise StorageError(f"{directory} cannot be used: {error.strerror}; {_way_out(error)}") from error
        try:
            self._db = _open(self.path)
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Close the file and let the next process have it."""
        self._db.close()
        os.close(self._lock)

    def failure(self) -> str:
        """Return why the file cannot be read; empty when it can."""
        try:
            self.floor()
        except apsw.Error as error:
            return f"{self.path}: {error}"
        return ""

    def floor(self) -> int:
        """Return the revision up to which history has been compacted."""
        return int(_single(self._db, "SELECT floor FROM compaction"))

    def append(self, row: Row, written: float) -> None:
        """Store `row`; on return it survives the death of this process.

        `written` is in seconds since the epoch. Raises StorageError when the disk does not take it, and
        apsw.ConstraintError when the row it names has been replaced; nothing has been stored then.
        """
        values = (row.revision, row.kind, row.namespace, row.name, row.previous, row.deleted, written, row.value)
        with _writing(self.path):
            self._db.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def current(self) -> Iterator[Row]:
        """Yield the last row of every key, deletions included, in the order of revisions."""
        yield from self._rows(
            """SELECT h.revision, h.kind, h.space, h.name, h.previous, h.deleted, h.value FROM history h
               WHERE NOT EXISTS (SELECT 1 FROM history n WHERE n.kind = h.kind AND n.space = h.space
                                 AND n.name = h.name AND n.previous = h.revision)
               ORDER BY h.revision"""
        )

    def since(self, revision: int, kind: str) -> Iterator[tuple[Row, bytes | None]]:
        """Yield the rows of `kind` after `revision` in order, each with the value it replaced."""
        cursor = self._db.execute(
            """SELECT h.revision, h.kind, h.space, h.name, h.previous, h.deleted, h.value, p.value, p.deleted
               FROM history h LEFT JOIN history p ON p.revision = h.previous
               WHERE h.revision > ? AND h.kind = ? ORDER BY h.revision""",
            (revision, kind),
        )
        for *columns, replaced, was_deleted in cursor:
            yield _row(tuple(columns)), None if was_deleted else replaced

    def last_revision(self) -> int:
        """Return the highest revision ever given, 0 in a new store."""
        highest = _single(self._db, "SELECT max(revision) FROM history") or 0
        return max(int(highest), self.floor())

    def revision_before(self, written: float) -> int:
        """Return the last revision stored before `written` (seconds since the epoch), 0 when there is none.

        Time and revisions rise together, so the row is found by halving: a scan would read every object there is.
        """
        low, high = 0, self.last_revision()
        while low < high:
            middle = (low + high + 1) // 2
            # Compaction leaves gaps; the row before one speaks for it.
            row = self._db.execute(
                "SELECT revision, written FROM history WHERE revision <= ? ORDER BY revision DESC LIMIT 1", (middle,)
            ).get
            if row is None or row[1] < written:
                low = middle
            else:
                high = row[0] - 1
        found = _single(self._db, "SELECT max(revision) FROM history WHERE revision <= ?", (low,))
        return int(found or 0)

    def compact(self, floor: int) -> int:
        """Forget what was superseded at or before `floor`, and deletions up to it; return how many rows went.

        Raises StorageError when the disk does not take it; nothing is forgotten then.
        """
        with _writing(self.path), self._db:
            # What rows up to the former floor superseded has gone with that floor: only later ones need be looked at.
            span = (self.floor(), floor)
            self._db.execute("UPDATE compaction SET floor = max(floor, ?)", (floor,))
            self._db.execute(
                """DELETE FROM history WHERE revision IN (
                     SELECT previous FROM history WHERE revision > ? AND revision <= ? AND previous > 0)""",
                span,
            )
            superseded = self._db.changes()
            self._db.execute("DELETE FROM history WHERE deleted AND revision > ? AND revision <= ?", span)
            deletions = self._db.changes()
        return superseded + deletions

    def checkpoint(self) -> None:
        """Move the write-ahead log into the main file; runs on a connection of its own, so in any thread.

        Raises StorageError when the disk does not take it; the log grows until one succeeds.
        """
        with _writing(self.path):
            db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                db.set_busy_timeout(BUSY_TIMEOUT_MS)
                db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            finally:
                db.close()

    def _rows(self, query: str, *bindings: object) -> Iterator[Row]:
        for columns in self._db.execute(query, bindings or None):
            yield _row(columns)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except _DISK_ERRORS as error:
        raise StorageError(
            f"{path} cannot be written: {error}; {_way_out(error)}, then all goes on by itself"
        ) from error


def _way_out(error: apsw.Error | OSError) -> str:
    match error:
        case apsw.ReadOnlyError():
            return "see to it that this user may write there"
        case apsw.BusyError():
            return "end what else has it open"
        case OSError(errno=number) if number not in _NO_ROOM:
            return "mend that, or name another with --data-dir"
    return "make room on its disk"


def _row(columns: tuple[Any, ...]) -> Row:
    revision, kind, namespace, name, previous, deleted, value = columns
    return Row(revision, kind, namespace, name, previous, bool(deleted), value)


def _single(db: apsw.Connection, query: str, bindings: tuple[float, ...] = ()) -> Any:
    """Return the one column of the one row that `query` gives."""
    return db.execute(query, bindings).get


def _lock(directory: Path) -> int:
    path = directory / LOCK_NAME
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise UnavailableError(
            f"data directory {directory} is in use by process {owner}; stop that process, or choose another directory"
        ) from None
    try:
        # Written over, not anew: where the disk is full, the old number's place is there.
        os.pwrite(lock, f"{os.getpid():<{_PID_CHARS}}".encode(), 0)
    except OSError:
        os.close(lock)
        raise
    return lock


def _open(path: Path) -> apsw.Connection:
    try:
        db = apsw.Connection(str(path))
        db.set_busy_timeout(BUSY_TIMEOUT_MS)
        db.execute("PRAGMA journal_mode = WAL")
        # Desired state, not messages: after a kill -9 nothing is missing (the kernel has it); after a power
        # cut the last moments may be, but never the consistency. A full sync would put a disk's latency into
        # every step of a cold start.
        db.execute("PRAGMA synchronous = NORMAL")
        # Checkpoints sync the disk, so they run in a thread (`checkpoint`), not in the middle of a write.
        db.execute("PRAGMA wal_autocheckpoint = 0")
        if _is_new(db):
            # All or nothing: what a full disk interrupts here is begun anew by the next start.
            with db:
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(_SCHEMA)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        _verify(db, path)
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise _corrupt(path, str(error)) from error
    except apsw.CantOpenError as error:
        raise UnavailableError(f"cannot open {path}: {error}") from error
    except _DISK_ERRORS as error:
        raise StorageError(f"cannot open {path}: {error}; {_way_out(error)}") from error
    return db


def _is_new(db: apsw.Connection) -> bool:
    return not (_single(db, "PRAGMA application_id") or _single(db, "SELECT count(*) FROM sqlite_master"))


def _verify(db: apsw.Connection, path: Path) -> None:
    application = _single(db, "PRAGMA application_id")
    if application != APPLICATION_ID:
        raise _corrupt(path, f"application id is {application:#x}, not {APPLICATION_ID:#x}: not a file of eventmesh")
    version = _single(db, "PRAGMA user_version")
    if version != SCHEMA_VERSION:
        raise _corrupt(path, f"format {version}, but this eventmesh reads format {SCHEMA_VERSION}")
    verdict = _single(db, "PRAGMA quick_check(1)")
    if verdict != "ok":
        raise _corrupt(path, str(verdict))


def _corrupt(path: Path, problem: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"{path} cannot be used: {problem}; restore it from a backup, or move it away to start with an empty cluster"
    )
