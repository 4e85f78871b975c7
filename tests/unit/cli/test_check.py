"""What `eventmesh check` finds, and what it says to do about it."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import NamedTuple

import pytest

from eventmesh.cli.check import machine, tools
from eventmesh.cli.check.findings import Finding, Standing
from eventmesh.cli.main import main
from eventmesh.cluster.runtime.cgroups import ControlGroups

FREE = 0


class Space(NamedTuple):
    """What `shutil.disk_usage` returns."""

    total: int
    used: int
    free: int


def found(data_dir: Path, subject: str, api_port: int = FREE) -> Finding:
    (one, *_) = (line for line in machine.findings(data_dir, api_port, FREE) if line.subject == subject)
    return one


def test_a_machine_that_can_run_a_mesh_has_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data-dir", str(tmp_path), "--port", "0", "--gateway-port", "0"]
    assert main(["check", *flags]) == 0
    assert "FAIL" not in capsys.readouterr().out
    assert main(["check", "-o", "json", *flags]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"kubectl", "kn", "namespaces", "ports", "data directory", "clock"} <= {row["subject"] for row in listed}
    assert all(row["standing"] == "ok" or row["mend"] for row in listed)


def test_a_port_that_is_taken_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        finding = found(tmp_path, "ports", port)
        assert main(["check", "--data-dir", str(tmp_path), "--port", str(port), "--gateway-port", "0"]) == 1
    assert finding.standing is Standing.FAILURE
    assert f"--port {port}" in finding.found
    assert "FAIL  ports" in capsys.readouterr().out


@pytest.mark.parametrize(("free", "standing"), [(1, Standing.FAILURE), (2**30, Standing.WARNING), (2**40, Standing.OK)])
def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, standing: Standing) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Space(2**40, 2**40 - free, free))
    assert found(tmp_path / "not" / "yet", "disk").standing is standing


@pytest.mark.parametrize(
    ("controllers", "note", "told"),
    [
        ((), "this user may make no control groups: /x", "nobody counts the processes of a function"),
        (("memory", "cpu"), "", "nobody counts the processes of a function"),
    ],
    ids=["no groups", "no controller pids"],
)
def test_limits_that_nobody_keeps_are_told_with_what_would_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, controllers: tuple[str, ...], note: str, told: str
) -> None:
    for controller in controllers:
        (tmp_path / controller).mkdir()
    groups = ControlGroups({controller: tmp_path / controller for controller in controllers}, note)
    monkeypatch.setattr(ControlGroups, "find", lambda: groups)
    finding = found(tmp_path / "data", "cgroups")
    assert finding.standing is Standing.WARNING and note in finding.found and told in finding.found
    assert "control groups" in finding.mend or "pids" in finding.mend


def test_a_data_directory_that_is_a_file_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert found(tmp_path / "file" / "data", "data directory").standing is Standing.FAILURE


def test_a_clock_that_was_set_back_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    newest = tmp_path / "store" / "objects.db"
    newest.touch()
    later = newest.stat().st_mtime + 10 * machine.SKEW_S
    os.utime(newest, (later, later))
    assert found(tmp_path, "clock").standing is Standing.FAILURE


def test_a_tool_that_is_not_there_is_told_with_where_it_is_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    listed = list(tools.findings())
    assert [(line.subject, line.standing) for line in listed] == [
        ("kubectl", Standing.WARNING),
        ("kn", Standing.WARNING),
    ]
    assert all("https://" in line.mend for line in listed)


def test_a_tool_that_is_too_old_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, told in (
        ("kubectl", {"clientVersion": {"gitVersion": "v1.19.3"}}),
        ("kn", {"Version": "v1.16.0"}),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    kubectl, kn = tools.findings()
    assert (kubectl.standing, kn.standing) == (Standing.WARNING, Standing.OK)
    assert "1.19" in kubectl.found


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"clientVersion": 1}', '{"Version": "20260101-local"}'])
def test_a_tool_that_does_not_tell_its_version_is_no_fault(text: str) -> None:
    assert tools.version_in(text) is None


def test_an_api_that_is_not_to_be_had_is_one_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--kubeconfig", str(tmp_path / "none")]) == 1
    assert "FAIL  cluster" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["status", "env"])
def test_what_is_about_a_running_mesh_says_that_none_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert main([command, "--data-dir", str(tmp_path)]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert f"no mesh runs on {tmp_path}" in told.err


def test_down_without_a_mesh_has_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--data-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no mesh runs on {tmp_path}\n"
