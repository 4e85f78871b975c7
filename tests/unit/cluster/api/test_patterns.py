"""Patterns of schemas mean what they mean to Go."""

from __future__ import annotations

import pytest

from eventmesh.cluster.api.patterns import compiled


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
