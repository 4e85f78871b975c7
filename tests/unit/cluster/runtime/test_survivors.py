"""What a runtime leaves behind when it is killed, with real processes under a real launcher."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import psutil
import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.runtime.launcher_process import LauncherProcess
from eventmesh.cluster.runtime.process import Command, Keep, Legacy, Process, ProcessLauncher
from tests.mesh.processes import called
from tests.waiting import WAIT_S

ENV = {"PATH": os.environ["PATH"]}
SLEEP = Command(("sleep", "600"), ENV)


@pytest.fixture
def owned() -> Iterator[LauncherProcess]:
    """A launcher whose runtimes come and go."""
    launcher = LauncherProcess.start()
    yield launcher
    launcher.close()
    launcher.wait()


@asynccontextmanager
async def runtime(owned: LauncherProcess) -> AsyncIterator[ProcessLauncher]:
    """A runtime that is gone afterwards, without a word, as one that was killed."""
    launcher = ProcessLauncher(owned.attach(), owned.pid)
    try:
        yield launcher
    finally:
        await launcher.stop()


async def left(owned: LauncherProcess) -> Legacy:
    async with runtime(owned) as launcher:
        return await launcher.legacy()


async def start(launcher: ProcessLauncher, script: str, label: str) -> Process:
    """Start a shell whose output is kept."""
    reader, writer = os.pipe()
    try:
        keep = Keep(label, (reader,)) if label else None
        return await launcher.spawn(Command(("sh", "-c", script), ENV), writer, writer, None, keep=keep)
    finally:
        os.close(reader)
        os.close(writer)


async def collected(pid: int) -> None:
    """Return when the process has ended and the launcher has seen it."""
    while Path(f"/proc/{pid}").exists():
        await asyncio.sleep(0.005)


async def test_a_labelled_process_is_told_to_the_next_runtime_with_all_it_wrote(owned: LauncherProcess) -> None:
    async with runtime(owned) as first:
        assert (await first.legacy()).survivors == ()
        process = await start(first, "read end; echo well", "pod one")
        # Its standard input is empty, so it has ended, or will while nobody is there.
        other = await start(first, "exec sleep 600", "pod two")
    async with runtime(owned) as second:
        survivors = {each.label: each for each in (await second.legacy()).survivors}
        # The end of the first may have been told to the runtime that is gone.
        assert survivors["pod two"].process.pid == other.pid
        assert not survivors["pod two"].process.exited.done()
        await second.signal(survivors["pod two"].process, signal.SIGTERM)
        assert await survivors["pod two"].process.exited == -signal.SIGTERM
        for survivor in survivors.values():
            for descriptor in survivor.descriptors:
                os.close(descriptor)
    assert process.pid not in [each.process.pid for each in (await left(owned)).survivors]


async def test_what_ends_while_no_runtime_is_there_is_told_once(owned: LauncherProcess, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    async with runtime(owned) as first:
        process = await start(first, f"read line < {tmp_path / 'go'}; echo last words; exit 7", "pod")
    # Blocks until it reads: so it ends after its runtime was gone.
    (tmp_path / "go").write_text("now\n")
    await collected(process.pid)
    async with runtime(owned) as second:
        (survivor,) = (await second.legacy()).survivors
        assert await survivor.process.exited == 7
        with open(survivor.descriptors[0], "rb") as kept:
            assert kept.read() == b"last words\n"
    assert (await left(owned)).survivors == ()


async def test_a_process_without_label_ends_with_its_runtime(owned: LauncherProcess) -> None:
    async with runtime(owned) as first:
        process = await start(first, "exec sleep 600", "")
    assert (await left(owned)).survivors == ()
    await collected(process.pid)


async def test_who_waits_in_a_control_group_ends_with_its_runtime(owned: LauncherProcess, tmp_path: Path) -> None:
    async with runtime(owned) as first:
        await first.prepare_in([str(tmp_path)])
        while not (tmp_path / "cgroup.procs").exists():
            await asyncio.sleep(0.005)
        waiting = psutil.Process(owned.pid).children()
    await left(owned)
    # Spares that wait for anybody live on.
    while all(process.is_running() for process in waiting):
        await asyncio.sleep(0.005)


async def test_sockets_listen_on_while_no_runtime_is_there(owned: LauncherProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        async with runtime(owned) as first:
            await first.hold("gateway", [server])
            # An answer that comes after it: the order is carried out.
            with suppress(UnavailableError):
                await first.make_network()
    with socket.create_connection(address):
        async with runtime(owned) as second:
            (kept,) = (await second.legacy()).sockets["gateway"]
            with kept:
                accepted, _ = kept.accept()
                accepted.close()


async def test_namespaces_stay_until_somebody_drops_them(owned: LauncherProcess) -> None:
    async with runtime(owned) as first:
        try:
            network = await first.make_network()
        except UnavailableError:
            # Where the host allows none there is nothing to keep.
            return
    async with runtime(owned) as second:
        assert (await second.legacy()).networks == (network,)
        await second.drop_network(network)
    assert (await left(owned)).networks == ()


async def test_a_start_under_way_is_finished_for_the_next_runtime(owned: LauncherProcess) -> None:
    reader, writer = os.pipe()
    tasks = TaskGroup("test")
    with closing(open(reader, "rb")), closing(open(writer, "wb")):
        async with runtime(owned) as first:

            async def begin() -> None:
                with pytest.raises(UnavailableError):
                    await first.spawn(SLEEP, writer, writer, None, keep=Keep("pod", (reader,)))

            begun = tasks.spawn("begin", begin())
            # Sent, and not answered yet.
            await asyncio.sleep(0)
        await begun
        (survivor,) = (await left(owned)).survivors
        os.close(survivor.descriptors[0])
        await called(survivor.process.pid, "sleep")


async def test_a_start_without_a_label_under_way_ends_with_its_runtime(owned: LauncherProcess) -> None:
    reader, writer = os.pipe()
    tasks = TaskGroup("test")
    os.set_blocking(reader, False)
    with open(reader, "rb", buffering=0) as output:
        async with runtime(owned) as first:

            async def begin() -> None:
                with pytest.raises(UnavailableError):
                    await first.spawn(SLEEP, writer, writer, None)

            begun = tasks.spawn("begin", begin())
            # Sent, and not answered yet.
            await asyncio.sleep(0)
        os.close(writer)
        await begun
        async with asyncio.timeout(WAIT_S):
            # Its end is the end of what it could write.
            while output.read(1) is None:
                await asyncio.sleep(0.005)


async def test_the_second_of_two_runtimes_takes_the_place_of_the_first(owned: LauncherProcess) -> None:
    async with runtime(owned) as first:
        lost = asyncio.Event()
        first.on_lost = lost.set
        async with runtime(owned) as second:
            await lost.wait()
            with pytest.raises(UnavailableError):
                await start(first, "true", "")
            assert await (await start(second, "exit 3", "")).exited == 3


async def test_the_launcher_of_an_owner_that_is_gone_ends(owned: LauncherProcess) -> None:
    async with runtime(owned) as first:
        process = await start(first, "exec sleep 600", "pod")
        owned.close()
        assert await process.exited == -signal.SIGKILL
    assert owned.wait() == 0


async def test_an_entry_is_told_of_a_broken_pipe_and_does_not_end_by_it(owned: LauncherProcess) -> None:
    async with runtime(owned) as launcher:
        reader, writer = os.pipe()
        os.close(reader)
        entry = "tests.unit.cluster.runtime.entry:writes"
        env = {**ENV, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = await launcher.spawn(Command(("writes",), env, entry=entry), writer, writer, None)
        os.close(writer)
        assert await process.exited == 5


async def test_a_process_has_the_limits_of_whoever_started_the_launcher(owned: LauncherProcess) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with runtime(owned) as launcher:
        reader, writer = os.pipe()
        process = await launcher.spawn(Command(("sh", "-c", "ulimit -Sn; ulimit -Hn"), ENV), writer, writer, None)
        os.close(writer)
        assert await process.exited == 0
    with open(reader) as told:
        assert told.read().split() == [str(soft), str(hard)]
    assert resource.prlimit(owned.pid, resource.RLIMIT_NOFILE) == (hard, hard)
