"""Logs through real pipes into real files."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

from eventmesh.cluster.runtime import logs, run_log
from eventmesh.cluster.runtime.logs import ContainerLog, LogQuery
from eventmesh.cluster.runtime.run_log import MAX_LINE_BYTES, STREAMS, RunLog
from tests.manual_clock import ManualClock
from tests.small_disk import needs_root, small_disk


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def write(run: RunLog, data: bytes) -> None:
    """Write as a process would that then ends."""
    pipe = run.pipe("stdout")
    await asyncio.get_running_loop().run_in_executor(None, os.write, pipe, data)
    os.close(pipe)
    await run.ended()


async def text(log: ContainerLog, query: LogQuery | None = None) -> str:
    return b"".join([part async for part in log.read(query or LogQuery())]).decode()


async def test_what_was_written_is_read_again(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    await write(log.open_run(), "one\n\nzwölf\nno end".encode())
    assert await text(log) == "one\n\nzwölf\nno end\n"


async def test_tail_limit_and_timestamps(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    await write(log.open_run(), b"one\ntwo\nthree\n")
    assert await text(log, LogQuery(tail_lines=2)) == "two\nthree\n"
    assert await text(log, LogQuery(tail_lines=0)) == ""
    assert await text(log, LogQuery(limit_bytes=5)) == "one\nt"
    assert await text(log, LogQuery(tail_lines=1, timestamps=True)) == "2026-01-01T00:00:00.000000000Z three\n"


async def test_since_leaves_out_what_is_older(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    run = log.open_run()
    pipe = run.pipe("stderr")
    os.write(pipe, b"early\n")
    while await text(log) != "early\n":
        await asyncio.sleep(0)
    await clock.advance(10.0)
    os.write(pipe, b"late\n")
    os.close(pipe)
    await run.ended()
    assert await text(log, LogQuery(since=clock.now() - timedelta(seconds=5))) == "late\n"


async def test_previous_is_the_run_before_and_older_runs_are_removed(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    for number in range(3):
        await write(log.open_run(), f"run {number}\n".encode())
    assert await text(log) == "run 2\n"
    assert await text(log, LogQuery(previous=True)) == "run 1\n"
    assert sorted(os.listdir(tmp_path)) == ["1.log", "2.log"]


async def test_a_first_run_has_no_previous(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    await write(log.open_run(), b"only\n")
    assert await text(log, LogQuery(previous=True)) == ""


async def test_a_line_of_any_length_is_read_as_one_line(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    line = b"x" * (3 * MAX_LINE_BYTES + 7)
    await write(log.open_run(), line + b"\nnext\n")
    assert await text(log) == line.decode() + "\nnext\n"
    assert max(len(stored) for stored in (tmp_path / "0.log").read_bytes().splitlines()) < MAX_LINE_BYTES + 64


async def test_full_files_are_rotated_and_the_oldest_dropped(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "MAX_FILE_BYTES", 400)
    for module in (logs, run_log):
        monkeypatch.setattr(module, "MAX_FILES", 3)
    log = ContainerLog(tmp_path, clock)
    await write(log.open_run(), b"".join(b"line %03d\n" % number for number in range(100)))
    assert sorted(os.listdir(tmp_path)) == ["0.log", "0.log.1", "0.log.2"]
    assert all(path.stat().st_size <= 400 for path in tmp_path.iterdir())
    kept = (await text(log)).splitlines()
    assert kept == [f"line {number:03d}" for number in range(100 - len(kept), 100)]


async def test_a_follower_gets_what_is_written_and_ends_with_the_pod(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    run = log.open_run()
    pipe = run.pipe("stdout")
    got: list[bytes] = []

    async def follow() -> None:
        async for part in log.read(LogQuery(follow=True)):
            got.append(part)

    follower = asyncio.get_running_loop().create_task(follow())
    for line in (b"one\n", b"two\n"):
        os.write(pipe, line)
        while line not in got:
            await asyncio.sleep(0)
    os.close(pipe)
    await run.ended()
    await write(log.open_run(), b"after a restart\n")
    while len(got) < 3:
        await asyncio.sleep(0)
    log.close()
    await follower
    assert got == [b"one\n", b"two\n", b"after a restart\n"]


async def test_the_tail_is_the_end_of_the_newest_run(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    assert log.tail(10) == ""
    await write(log.open_run(), b"first\nlast words\n")
    assert log.tail(10) == "last words"


async def test_what_has_ended_is_not_followed(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    await write(log.open_run(), b"first run\n")
    await write(log.open_run(), b"second run\n")
    assert await text(log, LogQuery(previous=True, follow=True)) == "first run\n"


async def test_the_tail_counts_lines_whatever_their_length(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    long = b"x" * (2 * MAX_LINE_BYTES + 1)
    await write(log.open_run(), b"first\n" + long + b"\nlast")
    assert await text(log, LogQuery(tail_lines=2)) == long.decode() + "\nlast\n"
    assert await text(log, LogQuery(tail_lines=1)) == "last\n"
    assert await text(log, LogQuery(tail_lines=0)) == ""


async def test_a_line_has_one_time_however_long_it_is(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    long = b"x" * (2 * MAX_LINE_BYTES + 1)
    await write(log.open_run(), long + b"\n")
    stamp, _, rest = (await text(log, LogQuery(timestamps=True))).partition(" ")
    assert rest == long.decode() + "\n" and stamp.endswith("Z")


async def test_a_follower_stops_at_its_limit(tmp_path: Path, clock: ManualClock) -> None:
    log = ContainerLog(tmp_path, clock)
    run = log.open_run()
    pipe = run.pipe("stdout")
    reading = asyncio.get_running_loop().create_task(text(log, LogQuery(follow=True, limit_bytes=7)))
    os.write(pipe, b"one\ntwo\nthree\n")
    assert await reading == "one\ntwo"
    os.close(pipe)
    await run.ended()


async def test_the_log_of_a_run_goes_on_under_the_next_runtime(tmp_path: Path, clock: ManualClock) -> None:
    await write(ContainerLog(tmp_path, clock).open_run(), b"before\n")
    second = ContainerLog(tmp_path, clock)
    pipes = [os.pipe() for _ in STREAMS]
    for number, (_, writer) in enumerate(pipes):
        os.write(writer, b"meanwhile %d\n" % number)
        os.close(writer)
    await second.resume_run([reader for reader, _ in pipes]).ended()
    assert sorted((await text(second)).splitlines()) == ["before", "meanwhile 0", "meanwhile 1"]
    assert second.runs == 1


@needs_root
async def test_a_full_disk_costs_lines_told_of_once_and_whole_lines_follow_when_there_is_room(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        log = ContainerLog(disk.directory / "app", clock)
        run = log.open_run()
        pipe = run.pipe("stdout")
        os.write(pipe, b"before\n")
        while await text(log) != "before\n":
            await asyncio.sleep(0)
        disk.fill()
        # Some still fit into the page that is there, and one of them partly.
        for _ in range(100):
            os.write(pipe, b"x" * 1000 + b"\n")
            await asyncio.sleep(0)
        disk.make_room()
        os.write(pipe, b"after\n")
        os.close(pipe)
        await run.ended()
        lines = (await text(log)).splitlines()
        assert (lines[0], lines[-1]) == ("before", "after") and set(lines[1:-1]) <= {"x" * 1000}
        assert len(lines) < 10
    assert [record.message for record in caplog.records].count(
        "a log cannot be written; its lines are dropped until there is room"
    ) == 1


@needs_root
async def test_a_run_whose_log_cannot_even_be_made_is_kept_from_then_on_when_it_can(
    tmp_path: Path, clock: ManualClock
) -> None:
    with small_disk(tmp_path / "disk", 1, files=2) as disk:
        (disk.directory / "other").touch()
        log = ContainerLog(disk.directory / "app", clock)
        run = log.open_run()
        pipe = run.pipe("stdout")
        os.write(pipe, b"lost\n")
        for _ in range(10):
            await asyncio.sleep(0)
        (disk.directory / "other").unlink()
        disk.resize(1, files=10)
        os.write(pipe, b"kept\n")
        os.close(pipe)
        await run.ended()
        assert await text(log) == "kept\n"
