"""What `eventmesh up` and `eventmesh images` say when they cannot do what was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.cli import data_dir
from eventmesh.cli.main import main


def test_the_data_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("EVENTMESH_DATA_DIR", raising=False)
    assert data_dir.default() == tmp_path / "eventmesh"
    monkeypatch.setenv("EVENTMESH_DATA_DIR", "/somewhere")
    assert data_dir.default() == Path("/somewhere")


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    flags = ["--data-dir", str(tmp_path / "file" / "data")]
    assert main(["up", *flags]) == 3
    assert main(["images", "list", *flags]) == 3
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert all(f"--data-dir {tmp_path}/file/data" in line for line in errors)


def test_a_place_for_the_kubeconfig_that_cannot_be_made_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["up", "--data-dir", str(tmp_path / "data"), "--kubeconfig", str(tmp_path / "file" / "config")]) == 3
    assert "--kubeconfig" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["x", "-1", "65536", ""])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(["up", f"--port={port}"])
    assert refusal.value.code == 2
    assert f"{port!r} is no port" in capsys.readouterr().err


def test_an_image_is_added_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "main.py").touch()
    flags = ["--data-dir", str(tmp_path / "data")]
    assert main(["images", "add", "hello", str(source), *flags]) == 0
    (source / "main.py").write_text("pass\n")
    assert main(["images", "add", "hello", str(source), *flags]) == 0
    assert main(["images", "list", *flags]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("dev.local/hello  sha256:")
    assert last.endswith("(1 older kept)")
