"""Everything that can be read from the files of a damaged store, put into a new one.

The database and the whole frames of its log are laid over each other, and the rows are taken from the pages of that
image one by one, not through trees that may be broken. An event, wherever it is kept, carries a checksum of its own and
is taken when that holds. What has none (places, attempts, replays) is taken from pages that are what they were.

No payload is ever taken for a page of rows: a page that goes on with a long payload begins with the number of the next,
whose first byte is zero in any file below 64 GiB.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from eventmesh.activator.broker.store.errors import DamagedEvent
from eventmesh.activator.broker.store.log_salvage import salvage_log
from eventmesh.activator.broker.store.log_tail import log_of
from eventmesh.activator.broker.store.page_sums import PAGE_SIZE, SLICE_PAGES, Mark, PageSums, sums_of
from eventmesh.activator.broker.store.pages import Leaf, Pages, Unreadable, Value
from eventmesh.activator.broker.store.records import Record, from_record
from eventmesh.base.frozen import frozen


class Table(Enum):
    """The tables with rowids, told apart by how many columns they have."""

    EVENTS = 7
    TRIGGERS = 4
    DEAD_LETTERS = 15
    QUEUED = 11
    ATTEMPTS = 13
    REPLAYS = 12
    NUMBERS = 2
    """`sqlite_sequence`: the highest number of each table that never uses one twice."""


@frozen
class Salvaged:
    """A row."""

    table: Table
    values: tuple[Value, ...]
    """As SQL would give them."""
    sound: bool
    """Its page is what it was."""


@dataclass(slots=True)
class Image:
    """A database put together from what is whole."""

    pages: Pages
    mark: Mark | None
    damaged_pages: list[int] = field(default_factory=list)
    """Of the database."""
    damaged_frames: list[int] = field(default_factory=list)
    """Of the log."""
    log_header_damaged: bool = False
    lost_frames: int = 0
    """Those of them that cannot be put right."""
    missing_frames: int = 0
    """Frames that were acknowledged and are not there."""
    doubtful: set[int] = field(default_factory=set)
    """Pages whose newest version is damaged."""

    @property
    def is_sound(self) -> bool:
        """Return whether nothing is damaged."""
        return not (self.damaged_pages or self.damaged_frames or self.log_header_damaged or self.missing_frames)

    def rows(self) -> Iterator[Salvaged]:
        """Yield the rows of all tables that can be read."""
        free: set[int] = set()
        with suppress(Unreadable):
            free.update(self.pages.free())
        for number in range(1, self.pages.count + 1):
            if number in free:
                continue
            for leaf in self.pages.rows(number, everywhere=number in self.doubtful):
                table, added = _TABLES.get(len(leaf.row), (None, ()))
                if table is not None and leaf.rowid and _is_possible(table, leaf):
                    yield Salvaged(table, (*_values(table, leaf), *added), number not in self.doubtful)


_TABLES: Mapping[int, tuple[Table, tuple[Value, ...]]] = {
    **{table.value: (table, ()) for table in Table},
    # Rows written before format 3, which added columns with these values.
    9: (Table.DEAD_LETTERS, ("", 0.0, None, 0, b"", 0)),
    3: (Table.TRIGGERS, (0,)),
}

_ROWID_FIRST = (Table.EVENTS, Table.QUEUED, Table.ATTEMPTS, Table.REPLAYS)
"""Tables whose first column is the rowid, which is not stored in the row."""

_EVENT_AT = {Table.EVENTS: 0, Table.QUEUED: 4}
"""Where the columns of an event begin, when they lie together in their order."""

_BROKER = 2
"""Of an event's columns, the one that is text and never empty."""


def lay_out(database: Path, file: BinaryIO) -> Image:
    """Write the image of a store into `file`, and return it. Raises OSError."""
    with database.open("rb") as original:
        shutil.copyfileobj(original, file, 1 << 20)
    image = Image(Pages(file, PAGE_SIZE), None)
    if sums_of(database).exists():
        _compare(database, file, image)
    _lay_over(log_of(database), file, image)
    image.pages = Pages(file, PAGE_SIZE)
    return image


def _compare(database: Path, file: BinaryIO, image: Image) -> None:
    sums = PageSums(database)
    try:
        image.mark = sums.mark()
        for first in range(1, sums.pages + 1, SLICE_PAGES):
            image.damaged_pages += sums.differing(first, min(SLICE_PAGES, sums.pages + 1 - first))
        for number in image.damaged_pages:
            right = sums.corrected(number)
            if right is None:
                image.doubtful.add(number)
            else:
                file.seek((number - 1) * PAGE_SIZE)
                file.write(right)
    finally:
        sums.close()


def _lay_over(log: Path, file: BinaryIO, image: Image) -> None:
    written: set[int] = set()
    found = salvage_log(log, image.mark)
    image.log_header_damaged = found.header_damaged
    for frame in found.frames:
        if not frame.as_written:
            image.damaged_frames.append(frame.number)
        image.lost_frames += not frame.sure
        if not (frame.sure or frame.page <= image.pages.count + len(found.frames)):
            # A number that cannot be: nobody knows which page this was.
            continue
        file.seek((frame.page - 1) * PAGE_SIZE)
        file.write(frame.content)
        written.add(frame.page)
        if frame.sure:
            image.doubtful.discard(frame.page)
        else:
            image.doubtful.add(frame.page)
    if image.mark:
        image.missing_frames = max(0, image.mark.frames - len(found.frames))
    # A page that differs in the database and is in the log as well is not damaged: the log's version counts.
    image.damaged_pages = [page for page in image.damaged_pages if page not in written]


def _is_possible(table: Table, leaf: Leaf) -> bool:
    row = leaf.row
    match table:
        case Table.EVENTS:
            return row[0] is None and isinstance(row[_BROKER], str)
        case Table.QUEUED | Table.ATTEMPTS | Table.REPLAYS:
            return row[0] is None
        case Table.TRIGGERS:
            return isinstance(row[0], str) and isinstance(row[1], str) and isinstance(row[2], int)
        case Table.NUMBERS:
            return isinstance(row[0], str) and isinstance(row[1], int)
    return isinstance(row[0], str)


def _values(table: Table, leaf: Leaf) -> tuple[Value, ...]:
    return (leaf.rowid, *leaf.row[1:]) if table in _ROWID_FIRST else leaf.row


def event_of(salvaged: Salvaged) -> Record | None:
    """Return the event of a row, in a table that holds events; None when it is not what was written."""
    values = salvaged.values
    if salvaged.table is Table.DEAD_LETTERS:
        columns = values[2:9]
    else:
        begin = _EVENT_AT[salvaged.table]
        columns = values[begin : begin + 7]
    record = Record(*columns)  # type: ignore[arg-type]  # checked by its checksum, and by what raises if it is not
    try:
        from_record(record)
    except (DamagedEvent, ValueError, TypeError, AttributeError, OverflowError, struct.error):
        return None
    return record
