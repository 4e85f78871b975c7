"""The `pattern` of a text in a schema: regular expressions as Go's `regexp` reads them, in Python's words.

What Python cannot read is refused where a schema is taken in (`definitions`), and so never met here by an object.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SPELT_OTHERWISE: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)
"""An escape, a class, or an end: read as wholes, so that the `$` of a class or behind a backslash is left alone."""
_NAMED_CLASS: Final = re.compile(r"\[:\^?\w+:\]")
_STRUCTURE: Final = re.compile(r"[()|*+]|\{\d*,\d*\}")
_END: Final = r"\Z"


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return the expression: `$` is the very end (to Python a line break may follow), `\\d` and `\\w` are ASCII.

    Raises ValueError for what cannot be read.
    """
    try:
        return re.compile(_SPELT_OTHERWISE.sub(_in_python, pattern), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from error


@lru_cache(maxsize=256)
def reads_once(pattern: str) -> bool:
    """Return whether a text is read once when it is searched for `pattern`, and not again from each of its characters.

    So it is with one repetition behind a `^`, or none. Choices that begin alike, repeated, are not looked into.
    """
    bare = _SPELT_OTHERWISE.sub("", pattern)
    depth = repetitions = 0
    is_held = pattern.startswith(("^", r"\A"))
    for sign in _STRUCTURE.findall(bare):
        match sign:
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case "|":
                is_held = is_held and depth > 0
            case _:
                repetitions += 1
    return not repetitions or (is_held and repetitions == 1)


def _in_python(found: re.Match[str]) -> str:
    if found[0][0] == "[" and (named := _NAMED_CLASS.search(found[0])):
        # Python would take it for the letters that it is spelt with.
        raise ValueError(f"the class {named[0]} is not read here: write its characters out")
    return _END if found[0] in ("$", r"\z") else found[0]
