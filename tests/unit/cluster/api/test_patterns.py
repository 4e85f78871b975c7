"""Patterns of schemas mean what they mean to Go."""

from __future__ import annotations

import pytest

from eventmesh.cluster.api.patterns import compiled, reads_once


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"^[a-z]+$", "abc", "abc\n"),
        (r"^(a|b$)", "b", "b\n"),
        (r"^\d\w$", "1a", "\u0663a"),
        (r"^[$]\$$", "$$", "$"),
        (r"^[]$]x$", "$x", "x"),
        (r"^[^]]$", "a", "]"),
        (r"^a\z", "a", "a\n"),
        (r"^\\$", "\\", "\\$"),
        ("", "anything", None),
    ],
)
def test_a_pattern_takes_what_go_takes(pattern: str, good: str, bad: str | None) -> None:
    assert compiled(pattern).search(good)
    assert bad is None or not compiled(pattern).search(bad)


@pytest.mark.parametrize("pattern", ["(", "[a", r"^\pL$", "a{99999999999}", "^[[:alpha:]_]+$"])
def test_what_cannot_be_read_is_told(pattern: str) -> None:
    with pytest.raises(ValueError, match="."):
        compiled(pattern)


@pytest.mark.parametrize(
    ("pattern", "once"),
    [
        ("abc", True),
        ("^(?:[-A-Za-z0-9/._]|[%][0-9a-f]{2})+$", True),
        (r"^[*+]\*[a-z]{0,61}$", True),
        (r"\A[a-z]+", True),
        ("[a-z]+", False),
        ("^a|b*", False),
        ("^a*b*$", False),
        ("^(a{1,9}b)+$", False),
    ],
)
def test_one_repetition_behind_a_beginning_reads_a_text_once(pattern: str, once: bool) -> None:
    assert reads_once(pattern) is once
