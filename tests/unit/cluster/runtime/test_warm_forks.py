"""Forks of a prepared interpreter under a real launcher: there when asked for, and no function fails for them."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.cluster.runtime import zygote
from eventmesh.cluster.runtime.process import Command, ProcessLauncher
from eventmesh.cluster.runtime.surroundings import surroundings
from eventmesh.cluster.runtime.warm_forks import MAX_FAILURES, STOCK, WarmForks
from tests.component.warm_stock import fill, waiting
from tests.mesh.processes import gone, is_alive

IS_FORK = "import os, sys; print(os.getpid(), 'eventmesh.functions.app' in sys.modules)"


@pytest_asyncio.fixture
async def launcher() -> AsyncIterator[ProcessLauncher]:
    launcher = ProcessLauncher.start()
    yield launcher
    await launcher.stop()


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "script.py").write_text(IS_FORK)
    return str(tmp_path / "script.py")


async def run(launcher: ProcessLauncher, script: str, *, warm: bool = True) -> tuple[int, bool]:
    """Return the number of the process that ran `script`, and whether it was a fork."""
    reading, writing = os.pipe()
    try:
        process = await launcher.spawn(
            Command((sys.executable, script), surroundings(), warm=warm), writing, writing, None
        )
        assert await process.exited == 0
        pid, fork = os.read(reading, 4096).decode().split()
        assert int(pid) == process.pid
        return process.pid, fork == "True"
    finally:
        os.close(reading)
        os.close(writing)


async def test_there_is_no_prepared_interpreter_before_somebody_asks(launcher: ProcessLauncher, script: str) -> None:
    _, fork = await run(launcher, script, warm=False)
    assert not fork
    assert waiting(launcher, zygote.NAME) == []
    _, fork = await run(launcher, script)
    assert not fork, "who asks first does not wait for it"
    assert len(await fill(launcher, STOCK)) == STOCK
    assert len(waiting(launcher, zygote.NAME)) == 1


async def test_a_fork_becomes_what_is_ordered_and_is_replaced(launcher: ProcessLauncher, script: str) -> None:
    before = await fill(launcher)
    pid, fork = await run(launcher, script)
    assert fork and pid in before
    assert pid not in await fill(launcher)


async def test_a_fork_keeps_nothing_open_but_where_its_order_comes_from(launcher: ProcessLauncher) -> None:
    for pid in await fill(launcher):
        links = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
        assert set(links) > {"0", "1", "2"} and len(links) == 4
        assert [link for name, link in links.items() if name not in "012"][0].startswith("socket:")
        assert len(os.listdir(f"/proc/{pid}/task")) == 1


async def test_functions_start_whoever_is_killed_and_warm_again_after_that(
    launcher: ProcessLauncher, script: str
) -> None:
    forks = await fill(launcher, STOCK)
    (prepared,) = waiting(launcher, zygote.NAME)
    for pid in (prepared, *forks):
        os.kill(pid, signal.SIGKILL)
        await gone({pid})
    await run(launcher, script)
    assert set(await fill(launcher, STOCK)).isdisjoint(forks)
    assert (await run(launcher, script))[1]


async def test_forks_outlive_their_interpreter_and_end_with_the_launcher(launcher: ProcessLauncher) -> None:
    forks = await fill(launcher)
    (prepared,) = waiting(launcher, zygote.NAME)
    os.kill(prepared, signal.SIGKILL)
    await gone({prepared})
    assert all(is_alive(pid) for pid in forks)
    os.kill(launcher.pid, signal.SIGKILL)
    for pid in forks:
        await gone({pid})


def test_an_interpreter_that_can_never_be_prepared_is_given_up_after_a_few_tries() -> None:
    started: list[int] = []

    def start() -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.close()
        started.append(len(started) + 1)
        return started[-1], ours

    with selectors.DefaultSelector() as selector:
        forks = WarmForks(selector, start)
        assert not forks.lacking
        assert forks.give(b"order", ()) == 0
        while forks.lacking:
            forks.add()
            for key, _ in selector.select():
                forks.heard(key.data)
            forks.lost(started[-1])
        assert forks.give(b"order", ()) == 0
        assert not forks.lacking
    assert len(started) == MAX_FAILURES


def test_what_is_prepared_imports_no_package_that_it_does_not_name() -> None:
    names = {module.partition(".")[0] for module in zygote.MODULES}
    imports = "\n".join(f"import {module}" for module in zygote.MODULES)
    code = f"import sys; before = set(sys.modules)\n{imports}\nprint(*set(sys.modules) - before)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    tops = {module.partition(".")[0] for module in told.split()} - sys.stdlib_module_names
    # What Cython's runtime registers is no module that anybody could have a file for.
    assert {top for top in tops if not top.startswith(("_cython", "cython_runtime"))} == names
