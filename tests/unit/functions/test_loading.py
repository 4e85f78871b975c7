"""Where functions are found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventmesh.base.errors import UsageError
from eventmesh.functions.loading import is_served, load

DECLARED = "from eventmesh.functions import function\n\n@function\ndef handle(event):\n    return None\n"


@pytest.fixture(autouse=True)
def unchanged_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_a_directory_means_its_function_and_what_lies_beside_it_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "prices_beside.py").write_text("TEA = 4\n")
    (tmp_path / "function.py").write_text("import prices_beside\n" + DECLARED)
    (found,) = load(str(tmp_path))
    assert found.name == "handle"


def test_a_name_in_a_module_receives_events_without_a_decorator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain_module.py").write_text("def handle(event):\n    return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = load("plain_module:handle")
    assert (found.name, found.path) == ("handle", "/")


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        (".", "has no function.py"),
        ("absent.py", "no such file"),
        ("absent", "no directory, no Python file and no MODULE:NAME"),
        ("absent_module:handle", "No module named"),
        ("json:absent", "has no function 'absent'"),
        ("empty.py", "declares no function"),
    ],
)
def test_what_leads_to_no_function_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, problem: str
) -> None:
    (tmp_path / "empty.py").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=problem):
        load(what)


def test_a_script_is_served_when_it_imports_what_declares_functions() -> None:
    assert is_served(DECLARED)
    assert is_served("import os\nimport eventmesh.functions as f\n")
    assert not is_served("from aiohttp import web\n# not from eventmesh.functions import function\n")
