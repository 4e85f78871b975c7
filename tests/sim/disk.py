"""A disk that remembers every change of its files, so that any moment can be had again: after a kill, or a power cut.

What a killed process leaves is every change so far. What a power cut leaves is every change before the last sync of its
file (a deletion: of the directory), and of those since then any: each sector by itself, in no order.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import apsw
import pytest

from eventmesh.activator.broker.store import page_sums

BENEATH = "unix"
"""The name of the file system of SQLite that does the work."""

SECTOR = 512
"""Bytes that a disk writes all or none of; SQLite takes the same for granted."""


class Kind(Enum):
    """What happens to a file."""

    WRITE = "write"
    TRUNCATE = "truncate"
    DELETE = "delete"
    SYNC = "sync"
    SYNC_DIRECTORY = "sync directory"


@dataclass(frozen=True, slots=True)
class Change:
    """One of the things that happened."""

    kind: Kind
    name: str
    at: int = 0
    """Where bytes were written; for TRUNCATE the length that is left."""
    data: bytes = b""


@dataclass(slots=True)
class Disk:
    """What happened to the files of one directory since it was recorded."""

    changes: list[Change] = field(default_factory=list)

    def note(self, kind: Kind, name: str, at: int = 0, data: bytes = b"") -> None:
        """Remember a change of the file of that path."""
        file = name.rpartition("/")[2]
        # Shared memory is no file: it is made anew.
        if not file.endswith("-shm"):
            self.changes.append(Change(kind, file, at, data))

    def put(self, name: str, data: bytes) -> None:
        """Have a file there, on disk for good."""
        self.changes += [Change(Kind.WRITE, name, 0, data), Change(Kind.SYNC, name)]

    @contextmanager
    def recorded(self, monkeypatch: pytest.MonkeyPatch, chance: random.Random | None = None) -> Iterator[None]:
        """Record what stores do to their files while the block runs; `chance`: where SQLite gets its random numbers."""
        vfs = _RecordingVfs(self, chance)
        with monkeypatch.context() as patch:
            patch.setattr(page_sums, "os", _RecordingOs(self))
            try:
                yield
            finally:
                vfs.unregister()

    def without(self, kind: Kind, suffix: str) -> Disk:
        """Return a disk that does not do one kind of thing to one kind of file."""
        nothing = Change(Kind.TRUNCATE, "no such file")
        left = [c if c.kind is not kind or not c.name.endswith(suffix) else nothing for c in self.changes]
        return Disk(left)

    def after_kill(self, moment: int) -> Mapping[str, bytes]:
        """Return the files as a process that is killed behind so many changes leaves them."""
        files: dict[str, bytearray] = {}
        for change in self.changes[:moment]:
            _apply(files, change)
        return {name: bytes(data) for name, data in files.items()}

    def after_power_cut(self, moment: int, rng: random.Random) -> Mapping[str, bytes]:
        """Return the files as a power cut behind so many changes may leave them."""
        files: dict[str, bytearray] = {}
        open_changes: dict[str, list[Change]] = {}
        for change in self.changes[:moment]:
            if change.kind is Kind.SYNC:
                for done in open_changes.pop(change.name, []):
                    _apply(files, done)
            elif change.kind is Kind.SYNC_DIRECTORY:
                for name, pending in open_changes.items():
                    deleted = max((at + 1 for at, done in enumerate(pending) if done.kind is Kind.DELETE), default=0)
                    if deleted:
                        files.pop(name, None)
                        del pending[:deleted]
            else:
                open_changes.setdefault(change.name, []).append(change)
        for pending in open_changes.values():
            share = rng.choice((0.0, 0.3, 0.5, 0.9, 1.0))
            for change in pending:
                for part in _sectors(change):
                    if rng.random() < share:
                        _apply(files, part)
        return {name: bytes(data) for name, data in files.items()}


def _sectors(change: Change) -> Iterator[Change]:
    if change.kind is not Kind.WRITE:
        yield change
        return
    end = change.at + len(change.data)
    at = change.at
    while at < end:
        until = min(end, (at // SECTOR + 1) * SECTOR)
        yield Change(Kind.WRITE, change.name, at, change.data[at - change.at : until - change.at])
        at = until


def _apply(files: dict[str, bytearray], change: Change) -> None:
    match change.kind:
        case Kind.WRITE:
            data = files.setdefault(change.name, bytearray())
            if len(data) < change.at:
                data.extend(bytes(change.at - len(data)))
            data[change.at : change.at + len(change.data)] = change.data
        case Kind.TRUNCATE if change.name in files:
            del files[change.name][change.at :]
        case Kind.DELETE:
            files.pop(change.name, None)
        case _:
            pass


class _RecordingVfs(apsw.VFS):
    """SQLite's own file system, watched; every connection opened while it is registered uses it."""

    def __init__(self, disk: Disk, chance: random.Random | None) -> None:
        super().__init__("recording", BENEATH, makedefault=True)
        self._disk = disk
        self._chance = chance

    def xRandomness(self, numbytes: int) -> bytes:
        return self._chance.randbytes(numbytes) if self._chance else super().xRandomness(numbytes)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _RecordingFile(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._disk.note(Kind.DELETE, filename)
        if syncdir:
            self._disk.note(Kind.SYNC_DIRECTORY, "")


class _RecordingFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(BENEATH, name, flags)
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        # SQLite syncs the directory with the first sync of a log or journal that it has opened.
        self._entry_unsynced = self._name.endswith(("-wal", "-journal"))

    def xWrite(self, data: Any, offset: int) -> None:
        super().xWrite(data, offset)
        self._disk.note(Kind.WRITE, self._name, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._disk.note(Kind.TRUNCATE, self._name, newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.note(Kind.SYNC, self._name)
        if self._entry_unsynced:
            self._disk.note(Kind.SYNC_DIRECTORY, "")
            self._entry_unsynced = False


class _RecordingOs:
    """The module `os`, with what changes files watched."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def pwrite(self, handle: int, data: bytes, at: int) -> int:
        written = os.pwrite(handle, data, at)
        self._disk.note(Kind.WRITE, _path(handle), at, bytes(data))
        return written

    def fsync(self, handle: int) -> None:
        os.fsync(handle)
        self._disk.note(Kind.SYNC, _path(handle))


def _path(handle: int) -> str:
    return os.readlink(f"/proc/self/fd/{handle}")


def put(files: Mapping[str, bytes], directory: Path) -> Path:
    """Write files into a directory, which is made; return it."""
    directory.mkdir()
    for name, data in files.items():
        (directory / name).write_bytes(data)
    return directory
