"""Manifests as people write them, and what is said about those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.kube.manifests import read_manifests

GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {since: 2026-01-31}}\n"


def written(directory: Path, text: str | bytes, name: str = "file.yaml") -> Path:
    path = directory / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_objects_come_in_the_order_of_the_file_and_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    written(tmp_path, GOOD.replace("name: a", "name: c"), "2.yaml")
    written(tmp_path, f"# nothing yet\n---\n{GOOD}---\n{GOOD.replace('name: a', 'name: b')}", "1.yaml")
    assert [obj["metadata"]["name"] for obj in read_manifests(tmp_path)] == ["a", "b", "c"]


def test_a_date_stays_what_it_was_written_as(tmp_path: Path) -> None:
    (obj,) = read_manifests(written(tmp_path, GOOD))
    assert obj["metadata"]["annotations"] == {"since": "2026-01-31"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: [x\n", "file.yaml: is no valid YAML at line 2, column 1: did not find expected ',' or ']'"),
        (f"{GOOD}---\nmetadata: {{name: a}}\nkind: ConfigMap\n", "file.yaml:5: has no apiVersion"),
        ("apiVersion: v1\n", "file.yaml:1: has no kind"),
        ("apiVersion: v1\nkind: Pod\n", "file.yaml:1: this Pod has no metadata.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 1}\n", "file.yaml:1: this Pod has no metadata.name"),
        ("- a\n", "file.yaml:1: is no object"),
        ("a: 1\na: 2\n", "file.yaml: is no valid YAML at line 2, column 1: the key 'a' is given twice"),
        (b"a: \xff\n", "file.yaml: is not UTF-8: invalid start byte at byte 3"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_manifests(written(tmp_path, text))
    assert said in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file"):
        read_manifests(tmp_path / "nowhere.yaml")
