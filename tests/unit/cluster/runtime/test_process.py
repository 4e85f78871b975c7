"""Real processes under a real launcher."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.runtime import wire
from eventmesh.cluster.runtime.child import PROCESSES, SPARE_NAME
from eventmesh.cluster.runtime.process import Command, Process, ProcessLauncher, SpawnError
from eventmesh.cluster.runtime.spares import STOCK
from eventmesh.cluster.runtime.wire import Confinement
from tests.mesh.processes import called, is_alive

ENV = {"PATH": os.environ["PATH"]}


@pytest_asyncio.fixture
async def launcher() -> AsyncIterator[ProcessLauncher]:
    launcher = ProcessLauncher.start()
    yield launcher
    await launcher.stop()


async def run(launcher: ProcessLauncher, command: Command, into: Path) -> Process:
    fd = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        return await launcher.spawn(command, fd, fd, None)
    finally:
        os.close(fd)


async def lines(path: Path, count: int) -> list[str]:
    while not path.exists() or len(found := path.read_text().splitlines()) < count:
        await asyncio.sleep(0.005)
    return found


async def gone(pid: int) -> None:
    while is_alive(pid):
        await asyncio.sleep(0.005)


async def test_exit_codes_and_output_come_back(launcher: ProcessLauncher, tmp_path: Path) -> None:
    script = "echo $GREETING; pwd; exit 7"
    command = Command(("sh", "-c", script), {**ENV, "GREETING": "hello"}, str(tmp_path))
    process = await run(launcher, command, tmp_path / "out")
    assert await process.exited == 7
    assert (tmp_path / "out").read_text() == f"hello\n{tmp_path}\n"


async def test_a_signal_reaches_the_whole_group(launcher: ProcessLauncher, tmp_path: Path) -> None:
    process = await run(launcher, Command(("sh", "-c", "sleep 600 & echo $!; wait"), ENV), tmp_path / "out")
    (child,) = await lines(tmp_path / "out", 1)
    await launcher.signal(process, signal.SIGTERM)
    assert await process.exited == -signal.SIGTERM
    await gone(int(child))


async def test_what_a_process_leaves_in_its_group_ends_with_it(launcher: ProcessLauncher, tmp_path: Path) -> None:
    process = await run(launcher, Command(("sh", "-c", "sleep 600 & echo $!"), ENV), tmp_path / "out")
    assert await process.exited == 0
    await gone(int((await lines(tmp_path / "out", 1))[0]))


async def test_a_program_that_does_not_exist_is_named(launcher: ProcessLauncher, tmp_path: Path) -> None:
    with pytest.raises(SpawnError, match="'no-such-program'.*No such file"):
        await run(launcher, Command(("no-such-program",), ENV), tmp_path / "out")


async def test_a_working_directory_that_does_not_exist_is_named(launcher: ProcessLauncher, tmp_path: Path) -> None:
    with pytest.raises(SpawnError, match="/no/such/directory"):
        await run(launcher, Command(("true",), ENV, "/no/such/directory"), tmp_path / "out")


async def test_an_environment_too_large_is_refused_before_the_launcher_sees_it(
    launcher: ProcessLauncher, tmp_path: Path
) -> None:
    with pytest.raises(SpawnError, match=str(wire.MAX_MESSAGE_BYTES)):
        await run(launcher, Command(("true",), {"BIG": "x" * wire.MAX_MESSAGE_BYTES}), tmp_path / "out")
    process = await run(launcher, Command(("true",), ENV), tmp_path / "out")
    assert await process.exited == 0


async def test_an_entry_is_called_in_a_fork_with_its_arguments_and_environment(tmp_path: Path) -> None:
    launcher = ProcessLauncher.start(preload=("json.tool",))
    try:
        source = tmp_path / "in.json"
        source.write_text('{"a":1}')
        command = Command((str(source),), ENV, "/", entry="tests.unit.cluster.runtime.entry:main")
        process = await run(launcher, command, tmp_path / "out")
        assert await process.exited == 3
        assert (tmp_path / "out").read_text() == f"{[str(source)]} {sorted(ENV)}\n"
    finally:
        await launcher.stop()


async def test_an_entry_that_raises_ends_with_1_and_its_traceback(launcher: ProcessLauncher, tmp_path: Path) -> None:
    command = Command((), ENV, "/", entry="tests.unit.cluster.runtime.entry:broken")
    process = await run(launcher, command, tmp_path / "out")
    assert await process.exited == 1
    assert "ZeroDivisionError" in (tmp_path / "out").read_text()


async def test_stop_ends_every_process_even_one_that_left_its_session(tmp_path: Path) -> None:
    launcher = ProcessLauncher.start()
    await run(launcher, Command(("sh", "-c", "setsid sleep 600 & echo $!; exec sleep 600"), ENV), tmp_path / "out")
    (runaway,) = await lines(tmp_path / "out", 1)
    await launcher.stop()
    assert not is_alive(int(runaway))


async def test_kill_9_of_the_runtime_leaves_nothing_running(tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = f"""
import asyncio, os
from eventmesh.cluster.runtime.process import Command, ProcessLauncher
async def main():
    launcher = ProcessLauncher.start()
    fd = os.open({str(out)!r}, os.O_WRONLY | os.O_CREAT)
    await launcher.spawn(Command(("sh", "-c", "setsid sleep 600 & echo $!; echo $$; exec sleep 600"),
        dict(os.environ)), fd, fd, None)
    os.write(fd, b"")
    await asyncio.sleep(600)
asyncio.run(main())
"""
    out.touch()
    runtime = subprocess.Popen([sys.executable, "-c", program])
    pids = await lines(out, 2)
    runtime.kill()
    runtime.wait()
    for pid in pids:
        await gone(int(pid))


async def test_the_loss_of_the_launcher_is_told_and_ends_its_processes(tmp_path: Path) -> None:
    lost = asyncio.Event()
    launcher = ProcessLauncher.start(on_lost=lost.set)
    process = await run(launcher, Command(("sleep", "600"), ENV), tmp_path / "out")
    os.kill(launcher.pid, signal.SIGKILL)
    await lost.wait()
    assert await process.exited == -signal.SIGKILL
    await gone(process.pid)
    await launcher.stop()


async def test_a_process_in_a_network_of_its_own_is_not_reachable_from_outside(
    launcher: ProcessLauncher, tmp_path: Path
) -> None:
    network = await launcher.make_network()
    script = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); s.accept()"
    )
    out = tmp_path / "out"
    fd = os.open(out, os.O_WRONLY | os.O_CREAT)
    process = await launcher.spawn(Command((sys.executable, "-c", script), ENV), fd, fd, network)
    os.close(fd)
    (port,) = await lines(out, 1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(port))
    assert os.stat(network.path).st_ino != os.stat("/proc/self/ns/net").st_ino
    await launcher.signal(process, signal.SIGKILL)
    await process.exited
    await launcher.drop_network(network)


async def spares(launcher: ProcessLauncher, count: int) -> list[int]:
    """Return the launcher's spares once there are `count`."""
    while True:
        children = [
            int(word) for word in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
        ]
        found = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == SPARE_NAME]
        if len(found) == count:
            return found
        await asyncio.sleep(0.01)


async def test_a_spare_becomes_what_is_ordered_and_is_replaced(launcher: ProcessLauncher, tmp_path: Path) -> None:
    before = await spares(launcher, STOCK)
    process = await run(launcher, Command(("sleep", "600"), ENV), tmp_path / "out")
    assert process.pid in before
    await called(process.pid, "sleep")
    assert len(set(await spares(launcher, STOCK)) - set(before)) == 1


async def test_a_spare_keeps_nothing_of_the_launchers_open(launcher: ProcessLauncher) -> None:
    # Where the host allows none there is only less to keep.
    with suppress(UnavailableError):
        await launcher.make_network()
    for pid in await spares(launcher, STOCK):
        assert sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))[:3] == [0, 1, 2]
        assert len(os.listdir(f"/proc/{pid}/fd")) == 4  # and the socket its order comes over


async def test_spares_that_were_killed_are_not_missed(launcher: ProcessLauncher, tmp_path: Path) -> None:
    for pid in await spares(launcher, STOCK):
        os.kill(pid, signal.SIGKILL)
        await gone(pid)
    process = await run(launcher, Command(("sh", "-c", "echo well"), ENV), tmp_path / "out")
    assert await process.exited == 0
    assert await lines(tmp_path / "out", 1) == ["well"]
    assert len(await spares(launcher, STOCK)) == STOCK


async def test_a_process_may_be_prepared_for_one_entry(launcher: ProcessLauncher, tmp_path: Path) -> None:
    entry = "tests.unit.cluster.runtime.entry:knows"
    await launcher.prepare("knows", ["wave"])
    other = await run(launcher, Command(("other", "wave"), ENV, entry=entry), tmp_path / "out")
    prepared = await run(launcher, Command(("knows", "wave"), ENV, entry=entry), tmp_path / "out")
    again = await run(launcher, Command(("knows", "wave"), ENV, entry=entry), tmp_path / "out")
    assert [await process.exited for process in (other, prepared, again)] == [0, 1, 0]


async def test_what_cannot_be_prepared_runs_all_the_same(launcher: ProcessLauncher, tmp_path: Path) -> None:
    await launcher.prepare("knows", ["no_such_module"])
    command = Command(("knows", "sys"), ENV, entry="tests.unit.cluster.runtime.entry:knows")
    process = await run(launcher, command, tmp_path / "out")
    assert await process.exited == 1


async def test_a_process_may_wait_in_the_control_group_of_a_program(launcher: ProcessLauncher, tmp_path: Path) -> None:
    group, another = tmp_path / "group", tmp_path / "another"
    for directory in (group, another):
        directory.mkdir()
    await launcher.prepare_in([str(group)])
    assert await lines(group / PROCESSES, 1) == ["0"]
    (group / PROCESSES).unlink()
    confinement = Confinement(groups=(str(another), str(group)))
    process = await run(launcher, Command(("true",), ENV, confinement=confinement), tmp_path / "out")
    assert await process.exited == 0
    assert not (group / PROCESSES).exists(), "it was there already"
    assert (another / PROCESSES).read_text() == "0"
    process = await run(launcher, Command(("true",), ENV, confinement=confinement), tmp_path / "out")
    assert await process.exited == 0
    assert (group / PROCESSES).read_text() == "0", "who is not prepared joins both"


async def test_who_cannot_wait_in_a_control_group_says_so_with_its_program(
    launcher: ProcessLauncher, tmp_path: Path
) -> None:
    group = str(tmp_path / "missing")
    await launcher.prepare_in([group])
    with pytest.raises(SpawnError, match="missing/cgroup.procs: No such file"):
        await run(launcher, Command(("true",), ENV, confinement=Confinement(groups=(group,))), tmp_path / "out")
