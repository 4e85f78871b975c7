"""How long events are kept, and how long they may be, is read from the flags before anything starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eventmesh.cli.main import main
from eventmesh.cluster.bootstrap import bootstrap


@pytest.mark.parametrize(
    ("flag", "value", "complaint"),
    [
        ("--keep-events", "a day", "--keep-events: invalid duration 'a day'"),
        ("--keep-events", "-1h", "--keep-events: -1h is negative"),
        ("--keep-bytes", "-1", "--keep-bytes: -1 is negative"),
        ("--max-event-bytes", "65535", "--max-event-bytes: 65535 is not between 65536 and 4194304"),
        ("--max-event-bytes", "4194305", "--max-event-bytes: 4194305 is not between 65536 and 4194304"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, value: str, complaint: str
) -> None:
    file = tmp_path / "bootstrap.json"
    file.write_text(json.dumps(bootstrap("activator", "a", "127.0.0.1:0", "127.0.0.1:1")))
    words = ["--bootstrap", str(file), "--autoscaler", "http://127.0.0.1:1/", "--data-dir", str(tmp_path / "data")]
    assert main(["activator", *words, f"{flag}={value}"]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_mesh_refuses_a_limit_that_cannot_be_before_it_writes_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", f"--data-dir={tmp_path / 'data'}", "--max-event-bytes=1"]) == 2
    assert "--max-event-bytes: 1 is not between 65536 and 4194304" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
