"""What is done with texts: CEL's own, those of `cel-go/ext/strings` (2), and Kubernetes' regular expressions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from eventmesh.cluster.api.cel.library.formatting import formatted, quoted
from eventmesh.cluster.api.cel.library.overload import Overload, function, member
from eventmesh.cluster.api.cel.types import BOOL, DYN, INT, STRING, list_of
from eventmesh.cluster.api.cel.values import CHARS_A_STEP, NO_OVERLOAD, Budget, EvaluationError
from eventmesh.cluster.api.patterns import compiled, reads_once

MAX_PATTERN_CHARS: Final = 10_000
"""As an expression (`parser`). One that an object brings is compiled anew, which takes longer than searching."""
_BLANK: Final = " \t\n\v\f\r\x85\xa0\u2028\u2029"


def _expression(budget: Budget, text: str, pattern: str) -> re.Pattern[str]:
    """Return the compiled `pattern`, with what searching `text` for it may take paid; raises EvaluationError."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise EvaluationError(f"regexp has {len(pattern)} characters, and may have {MAX_PATTERN_CHARS}")
    if not reads_once(pattern):
        budget.spend_on_pairs(len(text), len(text))
    try:
        return compiled(pattern)
    except ValueError as error:
        raise EvaluationError(f"error parsing regexp: {error}") from error


def _matches(budget: Budget, text: str, pattern: str) -> bool:
    return _expression(budget, text, pattern).search(text) is not None


def _find(budget: Budget, text: str, pattern: str) -> str:
    found = _expression(budget, text, pattern).search(text)
    return found[0] if found else ""


def _find_all(budget: Budget, text: str, pattern: str, most: int = -1) -> list[str]:
    found = [match[0] for match in _expression(budget, text, pattern).finditer(text)]
    return found if most < 0 else found[:most]


def _at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise EvaluationError(f"index out of range: {index}")
    return text[index : index + 1]


def _index_of(text: str, wanted: str, start: int = 0) -> int:
    if not 0 <= start <= len(text):
        raise EvaluationError(f"index out of range: {start}")
    return text.find(wanted, start)


def _last_index_of(budget: Budget, text: str, wanted: str, latest: int | None = None) -> int:
    # Forwards Python reads a text once, backwards again from each character.
    budget.spend_on_pairs(len(text), len(wanted))
    if latest is None:
        return text.rfind(wanted)
    if not 0 <= latest <= len(text):
        raise EvaluationError(f"index out of range: {latest}")
    return text.rfind(wanted, 0, latest + len(wanted))


def _replace(budget: Budget, text: str, old: str, new: str, most: int = -1) -> str:
    times = text.count(old) if most < 0 else min(most, text.count(old))
    budget.spend((len(text) + times * len(new)) // CHARS_A_STEP)
    return text.replace(old, new, most if most >= 0 else -1)


def _split(text: str, separator: str, most: int = -1) -> list[str]:
    if most == 0:
        return []
    if not separator:
        letters = list(text)
        return letters if most < 0 or most >= len(letters) else [*letters[: most - 1], text[most - 1 :]]
    return text.split(separator, most - 1 if most > 0 else -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= start <= len(text):
        raise EvaluationError(f"index out of range: {start}")
    if not 0 <= end <= len(text):
        raise EvaluationError(f"index out of range: {end}")
    if start > end:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    return text[start:end]


def _join(budget: Budget, items: list[str], separator: str = "") -> str:
    if not all(isinstance(item, str) for item in items):
        raise EvaluationError(NO_OVERLOAD)
    budget.spend((sum(map(len, items)) + len(items) * (len(separator) + 1)) // CHARS_A_STEP)
    return separator.join(items)


def _lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _upper(text: str) -> str:
    return "".join(letter.upper() if letter.isascii() else letter for letter in text)


_TEXTS = list_of(STRING)
FUNCTIONS: Mapping[str, tuple[Overload, ...]] = {
    "contains": (member((STRING, STRING), BOOL, lambda text, part: part in text),),
    "startsWith": (member((STRING, STRING), BOOL, str.startswith),),
    "endsWith": (member((STRING, STRING), BOOL, str.endswith),),
    "matches": tuple(make((STRING, STRING), BOOL, _matches, counts=True) for make in (member, function)),
    "find": (member((STRING, STRING), STRING, _find, counts=True),),
    "findAll": (
        member((STRING, STRING), _TEXTS, _find_all, counts=True),
        member((STRING, STRING, INT), _TEXTS, _find_all, counts=True),
    ),
    "charAt": (member((STRING, INT), STRING, _at),),
    "indexOf": (member((STRING, STRING), INT, _index_of), member((STRING, STRING, INT), INT, _index_of)),
    "lastIndexOf": (
        member((STRING, STRING), INT, _last_index_of, counts=True),
        member((STRING, STRING, INT), INT, _last_index_of, counts=True),
    ),
    "lowerAscii": (member((STRING,), STRING, _lower),),
    "upperAscii": (member((STRING,), STRING, _upper),),
    "replace": (
        member((STRING, STRING, STRING), STRING, _replace, counts=True),
        member((STRING, STRING, STRING, INT), STRING, _replace, counts=True),
    ),
    "split": (member((STRING, STRING), _TEXTS, _split), member((STRING, STRING, INT), _TEXTS, _split)),
    "substring": (member((STRING, INT), STRING, _substring), member((STRING, INT, INT), STRING, _substring)),
    "trim": (member((STRING,), STRING, lambda text: text.strip(_BLANK)),),
    "join": (
        member((_TEXTS,), STRING, _join, counts=True),
        member((_TEXTS, STRING), STRING, _join, counts=True),
    ),
    "format": (member((STRING, list_of(DYN)), STRING, formatted, counts=True),),
    "strings.quote": (function((STRING,), STRING, quoted),),
}
