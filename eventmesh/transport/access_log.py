"""Writes the access log: the engine formats lines, a thread writes them in batches, the event loop never waits."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock

_log = log.get("transport.access_log")

FLUSH_INTERVAL_S: Final = 0.1
"""Longest time a line waits before it is written; short enough to watch by eye, long enough for large writes."""

MAX_PENDING_BYTES: Final = 16_777_216
"""Lines kept for a file system or pipe that does not take them (about 100,000 requests); later ones are dropped and
counted, because serving goes before logging."""

LAST_FLUSH_S: Final = 2.0
"""How long the end of the process waits for lines that a stuck file does not take; then they are given up."""

_STREAMS: Final = {"/dev/stdout": 1, "/dev/stderr": 2}
"""Opening these by name fails when they are sockets (ENXIO), as under some supervisors."""


class AccessLogWriter:
    """Moves lines from the engine to their files."""

    def __init__(self, take: Callable[[], list[tuple[str, bytes]]], clock: Clock) -> None:
        self.dropped_bytes = 0
        self._take = take
        self._clock = clock
        self._pending: dict[str, list[bytes]] = {}
        self._pending_bytes = 0
        self._failed: set[str] = set()
        self._write: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Write until cancelled. A path is opened anew for each batch, so a rotated file is followed by itself."""
        while True:
            await self._clock.sleep(FLUSH_INTERVAL_S)
            self._collect()
            if self._pending and (self._write is None or self._write.done()):
                self._write = self._start()

    async def flush(self) -> None:
        """Write everything there is; called once, at the end."""
        try:
            async with asyncio.timeout(LAST_FLUSH_S):
                if self._write is not None:
                    await self._write
                self._collect()
                if self._pending:
                    await self._start()
        except TimeoutError:
            _log.error("last lines of the access log given up: a file or pipe takes nothing", seconds=LAST_FLUSH_S)

    def _collect(self) -> None:
        for path, lines in self._take():
            if self._pending_bytes + len(lines) > MAX_PENDING_BYTES:
                self.dropped_bytes += len(lines)
                continue
            self._pending.setdefault(path, []).append(lines)
            self._pending_bytes += len(lines)

    def _start(self) -> asyncio.Future[None]:
        batch, self._pending, self._pending_bytes = self._pending, {}, 0
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def write() -> None:
            self._write_all(batch)
            with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, done)

        # A thread of its own, which the end of the process need not wait for: an executor's would be joined.
        threading.Thread(target=write, name="access-log", daemon=True).start()
        return done

    def _write_all(self, batch: dict[str, list[bytes]]) -> None:
        for path, chunks in batch.items():
            try:
                _append(path, b"".join(chunks))
            except OSError as error:
                if path not in self._failed:
                    _log.error("access log cannot be written", path=path, reason=error.strerror)
                self._failed.add(path)
            else:
                self._failed.discard(path)


def _append(path: str, lines: bytes) -> None:
    stream = _STREAMS.get(path)
    fd = _open(path) if stream is None else stream
    try:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(fd, rest) :]
    finally:
        if stream is None:
            os.close(fd)


def _open(path: str) -> int:
    # Without waiting: a pipe that nobody reads is an error here (ENXIO), not a place to hang.
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    os.set_blocking(fd, True)
    return fd


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
