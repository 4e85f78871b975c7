"""The access log's writer: order, bounds, files that cannot be written."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from eventmesh.base.tasks import TaskGroup
from eventmesh.transport.access_log import FLUSH_INTERVAL_S, MAX_PENDING_BYTES, AccessLogWriter
from tests.manual_clock import ManualClock


class Source:
    """Stands where the engine keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bytes]] = []

    def take(self) -> list[tuple[str, bytes]]:
        lines, self.lines = self.lines, []
        return lines


@pytest_asyncio.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    group = TaskGroup("test")
    yield group
    await group.stop()


async def test_lines_are_appended_in_order_and_the_last_ones_at_the_end(tmp_path: Path, tasks: TaskGroup) -> None:
    clock, source, path = ManualClock(), Source(), tmp_path / "a.log"
    path.write_bytes(b"earlier\n")
    writer = AccessLogWriter(source.take, clock)
    tasks.spawn("log", writer.run())
    source.lines = [(str(path), b"one\n"), (str(path), b"two\n")]
    await clock.advance(FLUSH_INTERVAL_S)
    source.lines = [(str(path), b"three\n")]
    await tasks.stop()
    await writer.flush()
    assert path.read_bytes() == b"earlier\none\ntwo\nthree\n"


async def test_a_rotated_file_is_followed(tmp_path: Path) -> None:
    source, path = Source(), tmp_path / "a.log"
    writer = AccessLogWriter(source.take, ManualClock())
    for line in (b"one\n", b"two\n"):
        source.lines = [(str(path), line)]
        await writer.flush()
        path.rename(tmp_path / f"{line[:3].decode()}.log")
    assert (tmp_path / "two.log").read_bytes() == b"two\n"


async def test_what_a_pipe_nobody_reads_does_not_take_is_bounded_and_counted(tmp_path: Path, tasks: TaskGroup) -> None:
    clock, source, path = ManualClock(), Source(), tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = AccessLogWriter(source.take, clock)
    tasks.spawn("log", writer.run())
    half = b"x" * (MAX_PENDING_BYTES // 2)
    try:
        for _ in range(4):
            source.lines = [(str(path), half)]
            await clock.advance(FLUSH_INTERVAL_S)
        # One half is under way, two are kept, and the fourth is too much.
        assert writer.dropped_bytes == len(half)
    finally:
        os.close(reading)  # the write that hangs ends with EPIPE
        await writer.flush()


async def test_a_path_that_cannot_be_written_harms_no_other(tmp_path: Path) -> None:
    source, good = Source(), tmp_path / "good.log"
    writer = AccessLogWriter(source.take, ManualClock())
    source.lines = [(str(tmp_path / "nowhere" / "a.log"), b"lost\n"), (str(good), b"kept\n")]
    await writer.flush()
    assert good.read_bytes() == b"kept\n"
