"""Flags of gateway and sidecar, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.cli.main import main


@pytest.mark.parametrize("value", ["0", "-1", "129"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "b.json"
    file.write_text("{}")
    assert main(["gateway", "--bootstrap", str(file), "--workers", value]) == 2
    assert f"--workers: {value} is " in capsys.readouterr().err


def test_beside_a_function_there_is_nothing_to_take_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER_PORT", "8080")
    file = tmp_path / "b.json"
    file.write_text("{}")
    assert main(["sidecar", "--bootstrap", str(file), "--hot-restart", str(tmp_path / "s")]) == 2
    assert "--hot-restart: beside a function" in capsys.readouterr().err
