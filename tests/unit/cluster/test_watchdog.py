"""Who is started again when it ends, and who is not: the watchdog with programs in the place of the mesh."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mesh.processes import is_alive
from tests.waiting import WAIT_S

PROGRAM = """
import os, signal, sys, time
from eventmesh.cluster.watchdog import watch

def mesh(cradle):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
    if {ready}:
        cradle.ready()
    print(os.getpid(), cradle.launcher_pid, int(cradle.again), flush=True)
    {then}
    return time.sleep(600)

sys.exit(watch(mesh, ["wave"], preload=()))
"""
WAITS = "signal.pause()"


@contextmanager
def watched(then: str = WAITS, ready: str = "True") -> Iterator[subprocess.Popen[str]]:
    """Run a watchdog whose mesh says that it is ready if `ready` holds, and then does `then`."""
    program = PROGRAM.format(ready=ready, then=then)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(process: subprocess.Popen[str]) -> tuple[int, int, bool]:
    """Return the next mesh's number, its launcher's, and whether there was one before."""
    assert process.stdout is not None
    pid, launcher, again = map(int, process.stdout.readline().split())
    return pid, launcher, bool(again)


def gone(*pids: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_mesh_that_is_killed_is_started_again_beside_the_same_launcher() -> None:
    with watched() as process:
        pid, launcher, again = told(process)
        assert not again
        for _ in range(3):
            os.kill(pid, signal.SIGKILL)
            killed, (pid, same, again) = pid, told(process)
            assert (again, same, pid != killed) == (True, launcher, True)


def test_a_launcher_that_is_killed_is_started_again_with_its_mesh() -> None:
    with watched() as process:
        mesh, launcher, _ = told(process)
        os.kill(launcher, signal.SIGKILL)
        next_mesh, next_launcher, again = told(process)
        assert again and next_launcher != launcher and next_mesh != mesh
        gone(mesh, launcher)


def test_a_launcher_that_ends_right_after_its_mesh_is_replaced() -> None:
    """Its end is not known yet when the next mesh is to be attached to it."""
    program = """
import os
from eventmesh.cluster.watchdog import _Watchdog

dog = _Watchdog(lambda cradle: 0, (), (), {})
killed = dog._launcher.pid
os.kill(killed, 9)
os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)
channel = dog._attach()
print(dog._launcher.pid != killed, bool(channel.recv(1)))
dog.end()
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "True True\n"


def test_a_mesh_that_ends_by_itself_ends_everything() -> None:
    with watched("return 0") as process:
        mesh, launcher, _ = told(process)
        assert process.wait(WAIT_S) == 0
        gone(mesh, launcher)


@pytest.mark.parametrize(("then", "code"), [("return 3", 3), ("os.kill(os.getpid(), 9)", 128 + 9)])
def test_a_mesh_that_never_was_ready_is_not_tried_again(then: str, code: int) -> None:
    with watched(then, ready="False") as process:
        mesh, launcher, _ = told(process)
        assert process.wait(WAIT_S) == code
        gone(mesh, launcher)


def test_one_that_was_ready_and_cannot_start_any_more_is_tried_until_it_can(tmp_path: Path) -> None:
    failures = tmp_path / "failures"
    failures.write_text("x")
    then = (
        f"count = len(open({str(failures)!r}).read())\n"
        f"    if cradle.again and count: open({str(failures)!r}, 'w').write('x' * (count - 1)); os._exit(3)\n"
        "    signal.pause()"
    )
    with watched(then, ready="not cradle.again") as process:
        pid, _, _ = told(process)
        os.kill(pid, signal.SIGKILL)
        tries = [told(process) for _ in range(2)]
        assert all(again for _, _, again in tries)
        assert failures.read_text() == ""
        assert is_alive(tries[-1][0])


def test_what_the_mesh_needs_is_imported_once_for_all() -> None:
    """By the program's own word: the module is there before the mesh begins, whichever it is."""
    alone = "import sys, eventmesh.cluster.watchdog; sys.exit('wave' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", alone]).returncode == 0
    with watched("os.kill(os.getpid(), 9)", ready="'wave' in sys.modules") as process:
        assert not told(process)[2]
        assert told(process)[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_asks_the_watchdog_asks_the_mesh(number: signal.Signals) -> None:
    with watched() as process:
        mesh, launcher, _ = told(process)
        process.send_signal(number)
        assert process.wait(WAIT_S) == 4
        gone(mesh, launcher)


def test_nothing_outlives_a_watchdog_that_is_killed() -> None:
    with watched() as process:
        mesh, launcher, _ = told(process)
        process.kill()
        gone(mesh, launcher)
