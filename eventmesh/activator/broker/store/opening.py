"""Opening the embedded store's file: one process at a time, nothing of what was acknowledged missing."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import apsw

from eventmesh.activator.broker.store.errors import CorruptStore, StoreError
from eventmesh.activator.broker.store.log_tail import read_tail
from eventmesh.base import log

SCHEMA_VERSION = 6

CHECKPOINT_PAGES = 4_000
"""Pages of the log (16 MiB) after which SQLite copies them to the database: often enough that a restart reads little,
seldom enough that a page written by many transactions is copied once."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  sequence INTEGER PRIMARY KEY, accepted_at REAL NOT NULL, broker TEXT NOT NULL,
  attributes TEXT NOT NULL, carried TEXT NOT NULL, data BLOB, checksum INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS events_of_broker ON events (broker, sequence);
CREATE TABLE IF NOT EXISTS triggers (uid TEXT PRIMARY KEY, broker TEXT NOT NULL, cursor INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ahead (
  uid TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (uid, sequence)) WITHOUT ROWID;
-- A dead letter is a copy: it may stay for ever, and must not keep all later events from going.
CREATE TABLE IF NOT EXISTS dead_letters (
  uid TEXT NOT NULL, reason TEXT NOT NULL, sequence INTEGER NOT NULL, accepted_at REAL NOT NULL, broker TEXT NOT NULL,
  attributes TEXT NOT NULL, carried TEXT NOT NULL, data BLOB, checksum INTEGER NOT NULL, PRIMARY KEY (uid, sequence));
"""

_SINCE_3 = """
ALTER TABLE dead_letters ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letters ADD COLUMN at REAL NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN uri TEXT;
ALTER TABLE dead_letters ADD COLUMN status INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN error BLOB NOT NULL DEFAULT x'';
ALTER TABLE dead_letters ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE triggers ADD COLUMN began INTEGER NOT NULL DEFAULT 0;
-- Numbers are never used twice: who follows the attempts asks for those behind the last one seen.
CREATE TABLE attempts (
  entry INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, uid TEXT NOT NULL, name TEXT NOT NULL,
  number INTEGER NOT NULL, to_sink INTEGER NOT NULL, at REAL NOT NULL, took_s REAL NOT NULL, status INTEGER NOT NULL,
  error TEXT NOT NULL, outcome TEXT, reason TEXT NOT NULL, reply INTEGER);
CREATE INDEX attempts_of_event ON attempts (sequence);
CREATE INDEX attempts_with_reply ON attempts (reply) WHERE reply IS NOT NULL;
"""
"""What format 3 has beyond format 2: what became of each event."""

_SINCE_4 = """
CREATE TABLE queued (
  entry INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL, due REAL NOT NULL, origin TEXT NOT NULL,
  sequence INTEGER NOT NULL, accepted_at REAL NOT NULL, broker TEXT NOT NULL,
  attributes TEXT NOT NULL, carried TEXT NOT NULL, data BLOB, checksum INTEGER NOT NULL);
CREATE INDEX queued_of_trigger ON queued (uid, due, entry);
CREATE INDEX queued_of_event ON queued (sequence);
"""
"""What format 4 has beyond format 3: events that a trigger gets later, or again."""

_SINCE_5 = """
CREATE TABLE replays (
  number INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL, name TEXT NOT NULL, broker TEXT NOT NULL,
  expression TEXT NOT NULL, rate REAL NOT NULL, started_at REAL NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  position INTEGER NOT NULL, queued INTEGER NOT NULL, next_due REAL NOT NULL);
"""
"""What format 5 has beyond format 4: replays."""

_SINCE_6 = """
CREATE TABLE seen (key BLOB PRIMARY KEY, sequence INTEGER NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_until ON seen (until);
"""
"""What format 6 has beyond format 5: events known again."""

_CHANGES = ((2, _SCHEMA), (3, _SINCE_3), (4, _SINCE_4), (5, _SINCE_5), (6, _SINCE_6))
"""What each format brought; the first has never been released."""

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


def open_database(path: Path) -> tuple[apsw.Connection, int]:
    """Return the writing connection and the last sequence, after all checks."""
    try:
        connection = connect(path)
    except apsw.Error as error:
        raise _unusable(path, error) from error
    try:
        _check_log(connection, path)
        last = _verify(connection, path)
    except apsw.Error as error:
        connection.close()
        raise _unusable(path, error) from error
    except StoreError:
        connection.close()
        raise
    # Until now nothing may have been copied out of the log or deleted; from now on closing it tidies up.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    return connection, last


def _unusable(path: Path, error: apsw.Error) -> CorruptStore:
    return CorruptStore(f"event store {path} cannot be opened: {error}; restore it, or move it away")


def _check_log(connection: apsw.Connection, path: Path) -> None:
    """Raise CorruptStore when SQLite is about to forget transactions that were acknowledged."""
    # The first read recovers the log.
    connection.pragma("schema_version")
    frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    file = path.with_name(f"{path.name}-wal")
    tail = read_tail(file, max(0, frames))
    if tail is None:
        return
    if tail.header_broken:
        raise CorruptStore(
            f"event store {path}: the header of its log {file} is damaged, so that nothing in the log can be read: "
            "restore the log from a copy; to go on without what was accepted last, move the log away"
        )
    if tail.acknowledged:
        raise CorruptStore(
            f"event store {path}: its log {file} is damaged at byte {tail.offset} or soon after; {tail.frames} pages "
            f"of {tail.acknowledged} or more acknowledged transactions lie there: restore the log from a copy; to go "
            f"on without them, run: truncate -s {tail.offset} {file}"
        )
    if tail.frames:
        _log.warning("the log ends in an unfinished write, which was never acknowledged", file=file, pages=tail.frames)


def connect(path: Path) -> apsw.Connection:
    """Return a connection whose commits are on disk when they return. Closing it leaves the log as it is."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5_000)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    # One call each: of several statements in one `execute`, apsw runs those behind the first row on demand only.
    connection.pragma("journal_mode", "wal")
    # The log is synced at each commit, before the 202. NORMAL would sync at checkpoints only.
    connection.pragma("synchronous", "FULL")
    connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
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


def _verify(connection: apsw.Connection, path: Path) -> int:
    """Create the schema or check what is there; return the last sequence."""
    version = connection.pragma("user_version")
    if version == 1 or version > SCHEMA_VERSION:
        raise StoreError(
            f"event store {path} has format {version}; this version of eventmesh reads 2 to {SCHEMA_VERSION}"
        )
    if version != SCHEMA_VERSION:
        # All or nothing: a store that is killed here is found in its old format.
        connection.execute("BEGIN IMMEDIATE")
        for brought_by, change in _CHANGES:
            if brought_by > version:
                connection.execute(change)
        connection.pragma("user_version", SCHEMA_VERSION)
        connection.execute("COMMIT")
    ((first, last, count),) = connection.execute("SELECT min(sequence), max(sequence), count(*) FROM events")
    if count and last - first + 1 != count:
        missing = last - first + 1 - count
        raise CorruptStore(
            f"event store {path} lacks {missing} of the events {first} to {last}: restore it from a copy"
        )
    return int(last or 0)
