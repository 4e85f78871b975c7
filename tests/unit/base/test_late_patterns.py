"""Patterns of a package are compiled when they are first used, and are what they would have been."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from eventmesh.base.late_patterns import late_patterns


def run_as(module: str, source: str) -> dict[str, Any]:
    """Return what `source` defines as the module of that name."""
    names: dict[str, Any] = {"__name__": module}
    exec(source, names)  # noqa: S102 - a text of the test
    return names


def test_a_late_pattern_is_the_pattern() -> None:
    with late_patterns("theirs"):
        late = run_as("theirs.reader", "import re; found = re.compile('(a+)|b', re.I)")["found"]
    assert not isinstance(late, re.Pattern)
    assert late.match("AAb")[1] == "AA" and late.search("xB")[0] == "B"
    assert late.pattern == "(a+)|b" and late.groups == 1


def test_other_modules_compile_as_ever() -> None:
    with late_patterns("theirs"):
        for other in ("theirs_too", "ours.theirs"):
            assert isinstance(run_as(other, "import re; found = re.compile('a')")["found"], re.Pattern)
    assert isinstance(run_as("theirs", "import re; found = re.compile('a')")["found"], re.Pattern)


def test_flags_may_be_named() -> None:
    with late_patterns("theirs"):
        for module in ("theirs", "ours"):
            found = run_as(module, "import re; found = re.compile(pattern='a', flags=re.I)")["found"]
            assert found.match("A")


def test_compiling_is_as_before_when_the_import_fails() -> None:
    former = re.compile
    with pytest.raises(ZeroDivisionError), late_patterns("theirs"):
        run_as("theirs", "1 / 0")
    assert re.compile is former


def test_a_wrong_pattern_is_told_when_it_is_used() -> None:
    with late_patterns("theirs"):
        late = run_as("theirs", "import re; found = re.compile('(')")["found"]
    with pytest.raises(re.error, match="unterminated"):
        late.match("x")


def test_reading_yaml_compiles_neither_dates_nor_the_reader_in_python_and_both_still_work() -> None:
    program = """
from eventmesh.base.yaml_file import parse_yaml, yaml
assert parse_yaml("{from: 1.5, at: 2026-01-02}", "x") == {"from": 1.5, "at": "2026-01-02"}, "ours"
late = (yaml.reader.Reader.NON_PRINTABLE, yaml.constructor.SafeConstructor.timestamp_regexp)
print([len(vars(each)) for each in late])
print(yaml.load("{from: 1.5, at: 2026-01-02}", yaml.SafeLoader))
try:
    yaml.load("a: \\x07", yaml.SafeLoader)
except yaml.reader.ReaderError as error:
    print(error.reason)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == [
        "[1, 1]",
        "{'from': 1.5, 'at': datetime.date(2026, 1, 2)}",
        "special characters are not allowed",
    ]
