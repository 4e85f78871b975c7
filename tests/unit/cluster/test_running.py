"""Finding the mesh of a data directory by its lock, and its processes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from eventmesh.base.clock import SystemClock
from eventmesh.base.linux import start_time
from eventmesh.cluster.running import STORE, Running, find, processes, tell
from eventmesh.cluster.store.store import Store

TOLD = Running(os.getpid(), "1.0", "2026-01-01T00:00:00Z", "/somewhere/kubeconfig", {"api": "127.0.0.1:6443"})


def test_a_mesh_is_found_while_it_holds_its_directory_and_not_after(tmp_path: Path) -> None:
    assert find(tmp_path) is None
    store = Store(tmp_path / STORE, SystemClock())
    try:
        assert find(tmp_path) == Running(os.getpid())
        tell(tmp_path, TOLD)
        assert find(tmp_path) == TOLD
    finally:
        store.close()
    assert find(tmp_path) is None


def test_what_a_killed_mesh_told_is_not_believed_of_the_next(tmp_path: Path) -> None:
    tell(tmp_path, Running(1, "0.9", "", "/old/kubeconfig", {}))
    store = Store(tmp_path / STORE, SystemClock())
    try:
        assert find(tmp_path) == Running(os.getpid())
        (tmp_path / "run" / "mesh.json").write_text("{")
        assert find(tmp_path) == Running(os.getpid())
    finally:
        store.close()


def test_a_mesh_is_found_between_two_of_its_processes_while_its_watchdog_runs(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as watchdog:
        tell(tmp_path, replace(TOLD, pid=1, watchdog=watchdog.pid, watchdog_started=start_time(watchdog.pid)))
        between = find(tmp_path)
        assert between == Running(0, watchdog=watchdog.pid)
        assert between is not None and between.main == watchdog.pid
        store = Store(tmp_path / STORE, SystemClock())
        try:
            assert find(tmp_path) == Running(os.getpid(), watchdog=watchdog.pid)
        finally:
            store.close()
        watchdog.kill()
        os.waitid(os.P_PID, watchdog.pid, os.WEXITED | os.WNOWAIT)
        assert find(tmp_path) is None


def test_who_has_the_number_of_a_watchdog_that_is_gone_is_not_taken_for_it(tmp_path: Path) -> None:
    tell(tmp_path, replace(TOLD, pid=1, watchdog=os.getpid(), watchdog_started="1"))
    assert find(tmp_path) is None


def test_processes_are_listed_with_what_they_have_started() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = {process.pid for process in processes(os.getpid())}
        assert {os.getpid(), child.pid} <= found
        child.communicate(b"\n")
    assert child.pid not in {process.pid for process in processes(os.getpid())}
