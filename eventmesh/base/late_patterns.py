"""Regular expressions of packages that are imported, compiled when they are first searched with.

PyYAML compiles nine when it is imported, one of them over all of Unicode: 6 of the 11 ms that it takes to import. Where
libyaml reads, most are never used; what of the standard library a sidecar imports compiles twenty for what it never
does, another 4 ms. Those that are used cost what they would have cost.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


@contextmanager
def late_patterns(*packages: str) -> Iterator[None]:
    """Until the block ends, let `re.compile` give modules of these packages, and only them, patterns compiled later.

    Such a pattern has every attribute of a compiled one, but cannot be handed to functions of `re` itself. A wrong one
    raises `re.error` when it is first used.
    """
    former = re.compile

    def compile_late(pattern: Any, flags: Any = 0) -> Any:
        caller = sys._getframe(1).f_globals["__name__"]
        late = caller.partition(".")[0] in packages
        return _LatePattern(partial(former, pattern, flags)) if late else former(pattern, flags)

    re.compile = compile_late
    try:
        yield
    finally:
        re.compile = former


class _LatePattern:
    """Stands in for a pattern."""

    def __init__(self, compiled: Callable[[], Any]) -> None:
        self._compiled = compiled

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._compiled(), name)
        setattr(self, name, found)  # which is found before this method from now on
        return found
