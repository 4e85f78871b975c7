"""The writing end of a container's log: one run's pipes into one file, with rotated ones beside it.

The format on disk is the container runtime interface's: `<time> <stream> <F|P> <text>`, P for a part of an over-long
line. A disk that takes no more costs lines, never the function: its pipes go on being read.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.log_rate import LogRate

_log = log.get("runtime.logs")

MAX_FILE_BYTES: Final = 10 * 1024 * 1024
"""The kubelet's containerLogMaxSize."""

MAX_FILES: Final = 5
"""The kubelet's containerLogMaxFiles: a container that writes without end keeps 50 MiB."""

MAX_LINE_BYTES: Final = 16 * 1024
"""A longer line is stored in parts, as the container runtime interface has it."""

STREAMS: Final = ("stdout", "stderr")

_READ_BYTES: Final = 64 * 1024


class RunLog:
    """One run: gives out pipes and stores what comes through them; `wake` is called when there is more to read."""

    def __init__(self, path: Path, clock: Clock, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._file = _LogFile(path, clock)
        self._loop = asyncio.get_running_loop()
        self._partial: dict[str, bytes] = {}
        self._readers: dict[str, int] = {}
        self._ended = asyncio.Event()

    async def ended(self) -> None:
        """Return when every writer of this run is gone and all it wrote is stored."""
        await self._ended.wait()

    def pipe(self, stream: str) -> int:
        """Return the writing end of a pipe whose lines are stored as `stream`; the caller closes it after the fork."""
        reader, writer = os.pipe()
        self.follow(stream, reader)
        return writer

    def follow(self, stream: str, reader: int) -> None:
        """Store as `stream` what comes from `reader`, until its end; it becomes the log's to close."""
        os.set_blocking(reader, False)
        self._readers[stream] = reader
        self._loop.add_reader(reader, self._readable, stream, reader)

    @property
    def readers(self) -> tuple[int, ...]:
        """Return the reading ends of the pipes for standard output and standard error."""
        return tuple(self._readers[stream] for stream in STREAMS)

    def _readable(self, stream: str, reader: int) -> None:
        try:
            data = os.read(reader, _READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self._take(stream, data)
        else:
            self._loop.remove_reader(reader)
            os.close(reader)
            rest = self._partial.pop(stream, b"")
            if rest:
                self._store(stream, rest, "F")
            del self._readers[stream]
            if not self._readers:
                self._file.close()
                self._ended.set()
        self._wake()

    def _take(self, stream: str, data: bytes) -> None:
        *lines, rest = (self._partial.pop(stream, b"") + data).split(b"\n")
        for line in lines:
            while len(line) > MAX_LINE_BYTES:
                self._store(stream, line[:MAX_LINE_BYTES], "P")
                line = line[MAX_LINE_BYTES:]
            self._store(stream, line, "F")
        while len(rest) > MAX_LINE_BYTES:
            self._store(stream, rest[:MAX_LINE_BYTES], "P")
            rest = rest[MAX_LINE_BYTES:]
        if rest:
            self._partial[stream] = rest

    def _store(self, stream: str, text: bytes, mark: str) -> None:
        stamp = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        self._file.append(f"{stamp} {stream} {mark} ".encode() + text + b"\n")


class _LogFile:
    """The file of a run, opened when there is something to write to it, and again when that did not go well."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._file: io.FileIO | None = None
        self._size = 0
        self._lost = 0
        self._rate = LogRate(clock)
        # At once if that can be: a run without a word is a run all the same, to those who read.
        try:
            self._open()
        except OSError as error:
            self._lose(error, 0)

    def append(self, line: bytes) -> None:
        """Store a line, or count it as lost."""
        try:
            if self._size + len(line) > MAX_FILE_BYTES:
                self._rotate()
            self._write(self._file or self._open(), line)
        except OSError as error:
            self._lose(error, 1)

    def close(self) -> None:
        """Write no more."""
        if self._lost:
            _log.warning("lines of a log were dropped", file=self._path, lines=self._lost)
        self._shut()

    def _shut(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> io.FileIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - closed when both pipes end
        self._size = self._file.tell()
        return self._file

    def _write(self, file: io.FileIO, line: bytes) -> None:
        written = file.write(line)
        if written < len(line):
            # The next line would go on where this one was cut off.
            file.truncate(self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def _rotate(self) -> None:
        self._shut()
        for number in range(MAX_FILES - 1, 0, -1):
            older = self._path.with_suffix(f".log.{number}")
            newer = self._path.with_suffix(f".log.{number - 1}") if number > 1 else self._path
            if newer.exists():
                os.replace(newer, older)
        self._size = 0

    def _lose(self, error: OSError, lines: int) -> None:
        self._lost += lines
        if self._rate.allows():
            _log.warning(
                "a log cannot be written; its lines are dropped until there is room",
                file=self._path,
                reason=error.strerror,
                lines=self._lost,
            )
