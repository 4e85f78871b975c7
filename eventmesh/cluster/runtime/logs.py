"""What containers wrote: captured from pipes, stamped, rotated, and read again for `kubectl logs`.

The format on disk is the container runtime interface's: `<time> <stream> <F|P> <text>`, P for a part of an over-long
line. One file is one run of one container, so that `--previous` is the file before.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.run_log import MAX_FILES, STREAMS, RunLog

MAX_RUNS: Final = 2
"""Runs of a container whose logs are kept: this one and the one before it."""


@frozen
class LogQuery:
    """What a reader of a log wants."""

    tail_lines: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None
    previous: bool = False
    follow: bool = False


class ContainerLog:
    """The log of one container of one pod: one file a run, with rotated ones beside it."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._written = asyncio.Event()
        self._closed = False

    def open_run(self) -> RunLog:
        """Begin the log of the next run; older runs than the one before are removed."""
        runs = _runs(self._directory)
        number = runs[-1] + 1 if runs else 0
        for run in runs:
            if run <= number - MAX_RUNS:
                for file in self._directory.glob(f"{run}.log*"):
                    file.unlink(missing_ok=True)
        return self._run(number)

    def resume_run(self, readers: Sequence[int]) -> RunLog:
        """Go on with the log of the last run, from its pipes for standard output and standard error."""
        run = self._run((_runs(self._directory) or [0])[-1])
        for stream, reader in zip(STREAMS, readers, strict=True):
            run.follow(stream, reader)
        return run

    def _run(self, number: int) -> RunLog:
        return RunLog(self._directory / f"{number}.log", self._clock, self.wake)

    def wake(self) -> None:
        """Tell those who follow that there is more to read."""
        self._written.set()
        self._written = asyncio.Event()

    def close(self) -> None:
        """End every reader that follows: the pod is gone."""
        self._closed = True
        self.wake()

    def tail(self, max_bytes: int) -> str:
        """Return the end of the newest run, at most `max_bytes` of text; for a termination message."""
        runs = _runs(self._directory)
        if not runs:
            return ""
        lines = [text.rstrip("\n") for _, text in _lines(self._files(runs[-1]))]
        return "\n".join(lines)[-max_bytes:]

    @property
    def runs(self) -> int:
        """Return of how many runs something is kept."""
        return len(_runs(self._directory))

    async def read(self, query: LogQuery) -> AsyncIterator[bytes]:
        """Yield the text that `query` asks for, in order; ends at once unless it follows."""
        left, starts_line = query.limit_bytes, True
        async for stamp, text in self._entries(query):
            data = (f"{stamp} {text}" if query.timestamps and starts_line else text).encode()
            starts_line = text.endswith("\n")
            if left is not None:
                data = data[:left]
                left -= len(data)
            if data:
                yield data
            if left == 0:
                return

    async def _entries(self, query: LogQuery) -> AsyncIterator[tuple[str, str]]:
        runs = _runs(self._directory)
        wanted = runs[-2:-1] if query.previous else runs[-1:]
        position = _Position()
        for run in wanted:
            for entry in _selected(_lines(self._files(run), position), query):
                yield entry
        # What has ended is not written to any more.
        follows = query.follow and not query.previous
        while follows:
            follows, written = not self._closed, self._written
            for run in wanted:
                for entry in _lines(self._files(run), position):
                    yield entry
            newest = _runs(self._directory)[-1:]
            if newest != wanted:
                wanted, position, follows = newest, _Position(), True
            elif follows:
                await written.wait()

    def _files(self, run: int) -> list[Path]:
        """Return the files of a run, oldest first."""
        base = self._directory / f"{run}.log"
        rotated = [base.with_suffix(f".log.{n}") for n in range(MAX_FILES - 1, 0, -1)]
        return [file for file in (*rotated, base) if file.exists()]


@dataclass(slots=True)
class _Position:
    """How far a follower has read: the file, by inode since rotation renames it, and the offset in it."""

    inode: int = 0
    offset: int = 0


def _runs(directory: Path) -> list[int]:
    with suppress(FileNotFoundError):
        return sorted(int(name[:-4]) for name in os.listdir(directory) if re.fullmatch(r"\d+\.log", name))
    return []


def _lines(files: list[Path], position: _Position | None = None) -> Iterator[tuple[str, str]]:
    """Yield (time, text) of every stored line after `position`, which moves along; parts of a line have no line end."""
    position = position or _Position()
    known = [number for number, file in enumerate(files) if file.stat().st_ino == position.inode]
    for file in files[known[0] if known else 0 :]:
        with open(file, "rb") as source:
            inode = os.fstat(source.fileno()).st_ino
            if inode != position.inode:
                position.inode, position.offset = inode, 0
            source.seek(position.offset)
            for line in source:
                if not line.endswith(b"\n"):
                    break
                position.offset += len(line)
                stamp, _, mark, text = line.decode("utf-8", "replace").split(" ", 3)
                yield stamp, text if mark == "F" else text[:-1]


def _selected(lines: Iterator[tuple[str, str]], query: LogQuery) -> Iterator[tuple[str, str]]:
    if query.since is not None:
        since = query.since.strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        lines = (line for line in lines if line[0] >= since)
    return lines if query.tail_lines is None else _last(lines, query.tail_lines)


def _last(entries: Iterator[tuple[str, str]], lines: int) -> Iterator[tuple[str, str]]:
    """Return the entries of the last `lines` lines; a line can be several entries."""
    kept: deque[list[tuple[str, str]]] = deque(maxlen=max(0, lines))
    line: list[tuple[str, str]] = []
    for entry in entries:
        line.append(entry)
        if entry[1].endswith("\n"):
            kept.append(line)
            line = []
    if line:
        kept.append(line)
    return (entry for whole in kept for entry in whole)
