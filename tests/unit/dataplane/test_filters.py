"""Filters in files: found by name, read again when they change, refused with a reason."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.dataplane.filter_files import FilterFiles, load_file
from eventmesh.dataplane.filters import Filter, Go, Reply, Seen, filter
from eventmesh.model.authz import PythonFilter
from tests.contracts.python_filter import FilterContract

ONE = """
from eventmesh.dataplane.filters import Go, Seen, filter

@filter
def one(request: Seen) -> Go:
    return Go({"x-one": "1"})
"""


class TestAPlainFilter(FilterContract):
    def made(self) -> Filter:
        @filter
        def by_method(request: Seen) -> Go | Reply:
            return Go({"x-method": request.method}) if request.method != "OPTIONS" else Reply(405)

        return by_method


class TestAnAsyncFilter(FilterContract):
    def made(self) -> Filter:
        @filter
        async def by_key(request: Seen) -> Go | Reply:
            return Go(remove=("cookie",)) if "cookie" in request.headers else Reply(401, "who?", {"x-why": "no key"})

        return by_key


def test_a_filter_has_the_name_of_its_function() -> None:
    @filter
    def some(request: Seen) -> Go:
        return Go({"x-path": request.path})

    assert some.name == "some" and some(Seen("GET", "h", "/a")) == Go({"x-path": "/a"})


def test_filters_are_found_by_file_and_name(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(ONE)
    found = FilterFiles(tmp_path).find([("s", PythonFilter("a.py", "one")), ("t", PythonFilter("a.py", "one"))])
    assert list(found) == ["a.py:one"] and found["a.py:one"](Seen("", "", "")) == Go({"x-one": "1"})


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(ONE)
    files = FilterFiles(tmp_path)
    first = files.find([("s", PythonFilter("a.py", "one"))])
    assert files.find([("s", PythonFilter("a.py", "one"))]) == first
    path.write_text(ONE.replace('"1"', '"2"'))
    os.utime(path, ns=(1, 1))
    assert files.find([("s", PythonFilter("a.py", "one"))])["a.py:one"](Seen("", "", "")) == Go({"x-one": "2"})


def test_a_file_may_have_dataclasses_with_annotations_as_text(tmp_path: Path) -> None:
    tenant = "from dataclasses import dataclass\n@dataclass\nclass Tenant:\n    name: str\n"
    (tmp_path / "a-b.py").write_text("from __future__ import annotations\n" + tenant + ONE)
    assert FilterFiles(tmp_path).find([("s", PythonFilter("a-b.py", "one"))])


def test_a_file_that_cannot_be_run_leaves_the_former_one_in_place(tmp_path: Path) -> None:
    path = tmp_path / "kept.py"
    path.write_text(ONE)
    load_file(path)
    former = sys.modules["eventmesh_filter_kept"]
    path.write_text("1 / 0")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        load_file(path)
    assert sys.modules["eventmesh_filter_kept"] is former


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("../a.py", "", "no plain name"),
        ("a.sh", "", "no plain name"),
        ("b.py", "", "cannot be read"),
        ("a.py", "def one(", "SyntaxError"),
        ("a.py", "1 / 0", "ZeroDivisionError"),
        ("a.py", "raise SystemExit(1)", "SystemExit"),
        ("a.py", "one = 1", "has no filter 'one'; it has: none"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_reason(file: str, text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(ConfigError, match=problem):
        FilterFiles(tmp_path).find([("s", PythonFilter(file, "one"))])


def test_a_process_without_a_directory_says_how_to_name_one() -> None:
    with pytest.raises(ConfigError, match="EVENTMESH_FILTERS=DIRECTORY"):
        FilterFiles(None).find([("s", PythonFilter("a.py", "one"))])
