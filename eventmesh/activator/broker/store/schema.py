"""The tables of the embedded store, and how a store of an earlier format is brought up to date."""

from __future__ import annotations

import apsw

SCHEMA_VERSION = 7

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

_SINCE_7 = ""
"""Nothing in the database; but pages are summed beside it, and a version that leaves the sums behind must not write."""

_CHANGES = ((2, _SCHEMA), (3, _SINCE_3), (4, _SINCE_4), (5, _SINCE_5), (6, _SINCE_6), (7, _SINCE_7))
"""What each format brought; the first has never been released."""


def migrate(connection: apsw.Connection, version: int) -> None:
    """Bring a store of that format (0: an empty one) up to date, all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    for brought_by, change in _CHANGES:
        if brought_by > version:
            connection.execute(change)
    connection.pragma("user_version", SCHEMA_VERSION)
    connection.execute("COMMIT")
