"""Supervised processes, real ones."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from eventmesh.base.clock import Clock, SystemClock
from eventmesh.cluster.runtime.process import Command, Process, ProcessLauncher, Survivor
from eventmesh.cluster.runtime.restarts import AT_WORK_AFTER_S
from eventmesh.cluster.supervisor import Supervised
from tests.manual_clock import ManualClock


@pytest_asyncio.fixture
async def launcher() -> AsyncIterator[ProcessLauncher]:
    launcher = ProcessLauncher.start()
    yield launcher
    await launcher.stop()


def supervised(launcher: ProcessLauncher, directory: Path, script: str, clock: Clock | None = None) -> Supervised:
    command = Command(("sh", "-c", script), {"PATH": os.environ["PATH"]})
    return Supervised("part", command, launcher, directory, clock or SystemClock())


async def test_a_process_that_ends_is_started_again(launcher: ProcessLauncher, tmp_path: Path) -> None:
    part = supervised(launcher, tmp_path, "exec sleep 600")
    await part.start()
    first = part.pid
    os.kill(first, signal.SIGKILL)
    while part.pid == first:
        await asyncio.sleep(0.005)
    assert part.restarts == 1
    await part.stop()


async def test_one_that_others_kill_begins_again_without_any_time_passing(
    launcher: ProcessLauncher, tmp_path: Path
) -> None:
    """On a clock that stands still: whatever waits for it waits for ever."""
    clock = ManualClock()
    part = supervised(launcher, tmp_path, "exec sleep 600", clock)
    await part.start()
    for _ in range(3):
        killed = part.pid
        os.kill(killed, signal.SIGKILL)
        while part.pid == killed:
            await asyncio.sleep(0.005)
        await clock.advance(AT_WORK_AFTER_S)
    assert part.restarts == 3
    assert not part.failed.done(), "it has not failed"
    await part.stop()


async def test_one_that_an_earlier_mesh_has_left_may_have_ended(launcher: ProcessLauncher, tmp_path: Path) -> None:
    gone = Process(0)
    gone.exited.set_result(-signal.SIGKILL)
    streams = [os.pipe() for _ in range(2)]
    for _, writer in streams:
        os.close(writer)
    left = Survivor(gone, "part", tuple(reader for reader, _ in streams))
    command = Command(("sleep", "600"), {"PATH": os.environ["PATH"]})
    part = Supervised("part", command, launcher, tmp_path, SystemClock(), left=left)
    await part.start()
    while not part.pid:
        await asyncio.sleep(0.005)
    assert not part.failed.done()
    os.kill(part.pid, signal.SIGTERM)
    await part.failed
    await part.stop()


async def test_its_last_words_are_told_and_its_log_is_kept(launcher: ProcessLauncher, tmp_path: Path) -> None:
    part = supervised(launcher, tmp_path, "echo one; echo port taken >&2; exit 3")
    await part.start()
    assert await part.failed == "port taken"
    await part.stop()
    assert "port taken" in (tmp_path / "part" / "0.log").read_text()


async def test_stop_asks_first_and_leaves_nothing(launcher: ProcessLauncher, tmp_path: Path) -> None:
    mark = tmp_path / "asked"
    part = supervised(launcher, tmp_path, f"trap 'touch {mark}; exit 0' TERM; echo up; sleep 600 & wait")
    await part.start()
    pid = part.pid
    while not (tmp_path / "part" / "0.log").read_text():
        await asyncio.sleep(0.005)
    await part.stop()
    assert mark.exists()
    assert not Path(f"/proc/{pid}").exists()
    assert not part.failed.done()


async def test_clients_wait_for_a_process_that_is_started_again(tmp_path: Path) -> None:
    launcher = ProcessLauncher.start(("tests.component.greeter",))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        command = Command(("greeter",), environment, entry="tests.component.greeter:main")
        part = Supervised("greeter", command, launcher, tmp_path, SystemClock(), [listening])
        port = listening.getsockname()[1]
        # The first client comes before anybody serves.
        said, _ = await asyncio.gather(asyncio.to_thread(greeting, port), part.start())
        pid = int(said)
        assert pid == part.pid
        os.kill(pid, signal.SIGKILL)
        assert int(await asyncio.to_thread(greeting, port)) != pid
        await part.stop()
    await launcher.stop()


def greeting(port: int) -> str:
    """Return what the process that accepts the connection says; the process may have to be started first."""
    while True:
        # A process that is killed may take connections with it that it has accepted.
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as connection,
            contextlib.suppress(ConnectionResetError),
        ):
            if said := connection.recv(100):
                return said.decode()
