"""`eventmesh events repair`: a new store out of what is left of a damaged one, and a report of what is not.

What is lost stays visible: each lost event keeps its number, as a row that says so. A trigger whose place is lost
gets every event that is still there and that no attempt is known to have ended: again rather than never.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import apsw

from eventmesh.activator.broker.store.errors import CorruptStore, StoreError
from eventmesh.activator.broker.store.log_tail import log_of
from eventmesh.activator.broker.store.opening import lock, open_database, repaired_of
from eventmesh.activator.broker.store.page_sums import sums_of
from eventmesh.activator.broker.store.rebuilding import Found, Place, rebuild
from eventmesh.activator.broker.store.salvage import lay_out
from eventmesh.base.frozen import frozen

MAX_KEPT = 1_000
"""Directories of damaged files beside a store: who repairs it that often has another problem."""

WORKSHOP = "repair-"
"""How directories begin in which a new store is made."""


@frozen
class Repair:
    """What was found, and what became of it."""

    damaged_pages: Sequence[int]
    """Of the database."""
    damaged_frames: Sequence[int]
    """Of its log, counted from 0."""
    lost_frames: int
    """Those of them that could not be put right."""
    log_header_damaged: bool
    missing_frames: int
    """Acknowledged frames of the log that are not there."""
    found: Found
    refused: str = ""
    """Why the store cannot be opened although none of this is the case."""
    kept_in: Path | None = None
    """Where the damaged files are now; None: nothing was changed."""

    @property
    def is_needed(self) -> bool:
        """Return whether anything was damaged or lost."""
        return bool(
            self.damaged_pages
            or self.damaged_frames
            or self.log_header_damaged
            or self.missing_frames
            or self.found.lost
            or self.refused
        )

    @property
    def may_lack_triggers(self) -> bool:
        """Return whether triggers may have gone that nothing tells of any more."""
        return bool(self.lost_frames or self.missing_frames)

    @property
    def places(self) -> Sequence[Place]:
        """Return the triggers whose place was lost."""
        return [place for place in self.found.places if place.rebuilt]


def repair(database: Path, *, dry_run: bool) -> Repair:
    """Put a sound store in the place of `database`, or (`dry_run`) only say what that would hold.

    Raises StoreError when the store is in use, is not there, or the disk has no room for a second one beside it.
    """
    if not database.exists():
        raise StoreError(f"there is no event store {database}: name the activator's directory with --data-dir")
    handle = lock(database)
    try:
        if repaired_of(database).exists() and not dry_run:
            # It was complete when it got this name.
            _take_its_place(database, _kept_before(database))
        return _repair(database, dry_run=dry_run)
    except OSError as error:
        raise StoreError(f"event store {database} could not be repaired: {error.strerror}: {error.filename}") from error
    except apsw.Error as error:
        raise StoreError(f"event store {database} could not be repaired: {error}") from error
    finally:
        os.close(handle)


def _repair(database: Path, *, dry_run: bool) -> Repair:
    for left_over in database.parent.glob(f"{WORKSHOP}*"):
        # Of a repair that was killed; the lock says that nobody is at it now.
        shutil.rmtree(left_over)
    _check_room(database)
    with tempfile.TemporaryDirectory(prefix=WORKSHOP, dir=database.parent) as directory:
        fresh = Path(directory) / database.name
        with (Path(directory) / "image").open("w+b") as file:
            image = lay_out(database, file)
            found = rebuild(image, fresh)
        report = Repair(
            image.damaged_pages,
            image.damaged_frames,
            image.lost_frames,
            image.log_header_damaged,
            image.missing_frames,
            found,
        )
        if not report.is_needed:
            report = replace(report, refused=_refused(database))
        if dry_run or not report.is_needed:
            return report
        kept = _keep(database)
        _sync(fresh)
        fresh.rename(repaired_of(database))
    _sync(database.parent)
    _take_its_place(database, kept)
    return replace(report, kept_in=kept)


def _refused(database: Path) -> str:
    try:
        opened = open_database(database)
    except CorruptStore as error:
        return str(error)
    opened.upkeep.close()
    return ""


def _check_room(database: Path) -> None:
    wanted = 2 * sum(file.stat().st_size for file in _files(database))
    free = shutil.disk_usage(database.parent).free
    if wanted > free:
        raise StoreError(
            f"repairing {database} takes {wanted} bytes beside it for a while, and {free} are free: make room first"
        )


def _files(database: Path) -> Iterator[Path]:
    for file in (database, log_of(database), sums_of(database)):
        if file.exists():
            yield file


def _directories(database: Path) -> Iterator[Path]:
    for number in range(1, MAX_KEPT + 1):
        yield database.with_name(f"{database.name}-damaged-{number}")


def _kept_before(database: Path) -> Path:
    """Return where an interrupted repair has put the damaged files."""
    return [directory for directory in _directories(database) if directory.exists()][-1]


def _keep(database: Path) -> Path:
    """Give the damaged files a second name each; return where."""
    for directory in _directories(database):
        with suppress(FileExistsError):
            directory.mkdir()
            for file in _files(database):
                os.link(file, directory / file.name)
            _sync(directory)
            return directory
    raise StoreError(f"beside {database} are {MAX_KEPT} directories of damaged files already: move them away")


def _take_its_place(database: Path, kept: Path) -> None:
    """Put the repaired store where the damaged one is. Interrupted, it can be done again from the beginning."""
    assert (kept / database.name).exists()  # noqa: S101  # the damaged files have a second name by now
    # The old log first: SQLite would take it for the new database's.
    for file in (log_of(database), sums_of(database), database.with_name(f"{database.name}-shm")):
        file.unlink(missing_ok=True)
    _sync(database.parent)
    repaired_of(database).rename(database)
    _sync(database.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
