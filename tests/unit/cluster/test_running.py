"""Finding the mesh of a data directory by its lock, and its processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from eventmesh.base.clock import SystemClock
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


def test_processes_are_listed_with_what_they_have_started() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = {process.pid for process in processes(os.getpid())}
        assert {os.getpid(), child.pid} <= found
        child.communicate(b"\n")
    assert child.pid not in {process.pid for process in processes(os.getpid())}
