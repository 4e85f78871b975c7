"""`'%s'.format([x])`: values in a text (`cel-go/ext/formatting.go`, for version 2 of its strings)."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any, Final

from eventmesh.cluster.api.cel.library.operators import double_text
from eventmesh.cluster.api.cel.library.times import duration_text, timestamp_text
from eventmesh.cluster.api.cel.types import Type
from eventmesh.cluster.api.cel.values import CHARS_A_STEP, Budget, EvaluationError, type_of

_MAX_DIGITS: Final = 100
"""So many digits behind the point a format may ask for: no number has more that mean anything."""
_ESCAPED: Final = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
_SUPERSCRIPT: Final = str.maketrans("-+0123456789", "⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹")
_TAKES: Final = {
    "d": "decimal clause can only be used on integers",
    "f": "fixed-point clause can only be used on doubles",
    "e": "scientific clause can only be used on doubles",
    "b": "only integers and bools can be formatted as binary",
    "o": "octal clause can only be used on integers",
    "x": "only integers, byte buffers, and strings can be formatted as hex",
    "X": "only integers, byte buffers, and strings can be formatted as hex",
    "s": "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and "
    "timestamps",
}


def quoted(text: str) -> str:
    """Return `text` in quotes, what is not to be seen in it escaped."""
    return '"' + "".join(_ESCAPED.get(letter, letter) for letter in text) + '"'


def formatted(budget: Budget, template: str, values: list[Any]) -> str:
    """Return `template` with its clauses (`%s`, `%d`, `%.2f`, ...) filled in; raises EvaluationError."""
    pieces: list[str] = []
    at = used = 0
    while (percent := template.find("%", at)) >= 0:
        pieces.append(template[at:percent])
        at, digits = _precision(template, percent + 1)
        if at >= len(template):
            raise EvaluationError("unexpected end of string")
        clause = template[at]
        at += 1
        if clause == "%":
            pieces.append("%")
            continue
        if used == len(values):
            raise EvaluationError(f"index {used} out of range")
        pieces.append(_clause(budget, clause, values[used], digits))
        used += 1
        budget.spend(len(pieces[-1]) // CHARS_A_STEP)
    return "".join((*pieces, template[at:]))


def _precision(template: str, at: int) -> tuple[int, int]:
    if template[at : at + 1] != ".":
        return at, 6
    end = at + 1
    while template[end : end + 1].isdecimal() and end - at <= len(str(_MAX_DIGITS)):
        end += 1
    digits = int(template[at + 1 : end] or "0")
    if digits > _MAX_DIGITS:
        raise EvaluationError(f"precision {digits} is too large: at most {_MAX_DIGITS} digits")
    return end, digits


def _clause(budget: Budget, clause: str, value: Any, digits: int) -> str:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    match clause:
        case "s":
            return _shown(budget, value, inside=False)
        case "d" if is_whole:
            return str(int(value))
        case "f" if isinstance(value, float):
            return _infinite(value) or f"{value:,.{digits}f}"
        case "e" if isinstance(value, float):
            return _infinite(value) or _scientific(value)
        case "b" if is_whole or isinstance(value, bool):
            return f"{int(value):b}"
        case "o" if is_whole:
            return f"{int(value):o}"
        case "x" | "X" if is_whole:
            return f"{int(value):{clause}}"
        case "x" | "X" if isinstance(value, str | bytes):
            written = (value.encode() if isinstance(value, str) else value).hex()
            return written if clause == "x" else written.upper()
    if clause in _TAKES:
        raise _misfit(clause, value)
    raise EvaluationError(f'could not parse formatting clause: unrecognized formatting clause "{clause}"')


def _misfit(clause: str, value: Any) -> EvaluationError:
    return EvaluationError(f"error during formatting: {_TAKES[clause]}, was given {type_of(value)}")


def _infinite(value: float) -> str:
    if math.isfinite(value):
        return ""
    return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"


def _scientific(value: float) -> str:
    """Return a number as people write it, always with six digits: what this version of the library makes of `%e`."""
    body, _, power = f"{value:e}".partition("e")
    return f"{body}×10{power.removeprefix('+').translate(_SUPERSCRIPT)}"


def _shown(budget: Budget, value: Any, *, inside: bool = True) -> str:
    """Return a value as `%s` shows it, `inside` a list or a map so that it can be told from others."""
    budget.spend(1)
    budget.spend_on(value)
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value) if inside else value
        case int():
            return str(int(value))
        case float():
            return f"{value:f}" if inside else double_text(value)
        case bytes():
            text = value.decode(errors="replace")
            return f'b"{text}"' if inside else text
        case datetime():
            return f'timestamp("{timestamp_text(value)}")' if inside else timestamp_text(value)
        case timedelta():
            return f'duration("{duration_text(value)}")' if inside else duration_text(value)
        case list():
            return f"[{', '.join(_shown(budget, item) for item in value)}]"
        case dict():
            shown = sorted(f"{_shown(budget, key)}:{_shown(budget, item)}" for key, item in value.items())
            return f"{{{', '.join(shown)}}}"
        case Type():
            return str(value)
    raise _misfit("s", value)
