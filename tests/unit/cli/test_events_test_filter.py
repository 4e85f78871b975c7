"""`eventmesh events test-filter`, where no mesh is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eventmesh.cli.main import main

TRIGGER = """
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: t}
spec:
  filters:
    - prefix: {type: order.}
    - cesql: priority > 3 OR subject LIKE 'vip-%'
"""


@pytest.fixture
def event(tmp_path: Path) -> str:
    attributes = {"specversion": "1.0", "id": "1", "source": "/s", "type": "order.created", "priority": 2}
    file = tmp_path / "event.json"
    file.write_text(json.dumps({**attributes, "subject": "order-7"}))
    return str(file)


def test_the_filter_of_a_manifest_is_applied_and_explained(
    event: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "trigger.yaml"
    manifest.write_text(TRIGGER)
    assert main(["events", "test-filter", event, "-f", str(manifest)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "does not pass",
        "  spec.filters[1].cesql, line 1, column 1: priority > 3 is false: priority is 2",
        "  spec.filters[1].cesql, line 1, column 17: subject LIKE 'vip-%' is false: subject is 'order-7'",
    ]


def test_an_expression_is_applied_and_told_as_json(event: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "test-filter", event, "--filter", "priority = 2", "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (finding,) = told["findings"]
    assert told["passes"] is True
    assert (finding["text"], finding["column"]) == ("priority = 2", 1)


def test_what_cannot_be_read_is_named(event: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken, empty = tmp_path / "broken.json", tmp_path / "empty.yaml"
    broken.write_text('{"specversion": "1.0"}')
    empty.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n")
    complaints = {
        (str(tmp_path / "absent.json"), "--filter", "TRUE"): (2, "absent.json cannot be read"),
        (str(broken), "--filter", "TRUE"): (1, 'CloudEvent attribute "id": is required'),
        (event, "--filter", "priority >"): (2, "spec.filters[0].cesql: line 1, column 11"),
        (event, "-f", str(empty)): (2, "holds 0 Triggers"),
    }
    for words, (code, complaint) in complaints.items():
        assert main(["events", "test-filter", *words]) == code
        assert complaint in capsys.readouterr().err
