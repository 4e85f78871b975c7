"""Regular expressions of a package that is imported, compiled when they are first searched with.

PyYAML compiles nine when it is imported, one of them over all of Unicode: 6 of the 11 ms that a sidecar takes to import
it. Where libyaml reads, most are never used; those that are cost what they would have cost.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def late_patterns(package: str) -> Iterator[None]:
    """Until the block ends, let `re.compile` give modules of `package`, and only them, patterns compiled later.

    Such a pattern has every attribute of a compiled one, but cannot be handed to functions of `re` itself. A wrong one
    raises `re.error` when it is first used.
    """
    former = re.compile

    def compile_late(pattern: Any, flags: Any = 0) -> Any:
        caller = sys._getframe(1).f_globals["__name__"]
        return _LatePattern(pattern, flags) if caller.partition(".")[0] == package else former(pattern, flags)

    re.compile = compile_late
    try:
        yield
    finally:
        re.compile = former


class _LatePattern:
    """Stands in for a pattern."""

    def __init__(self, pattern: Any, flags: Any) -> None:
        self._source = (pattern, flags)

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(*self._source), name)
        setattr(self, name, found)  # which is found before this method from now on
        return found
