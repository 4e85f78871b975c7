"""The three types of CESQL and the casts between them (cesql/spec.md, sections 3.1 and 3.7)."""

from __future__ import annotations

import re

Value = str | int | bool
"""A String, an Integer or a Boolean; `bool` is told from `int` by `type(value)`, never by isinstance."""

Type = type[str] | type[int] | type[bool]
"""Calling one gives its zero value: "", 0, false."""

TYPE_NAMES = {str: "String", int: "Integer", bool: "Boolean"}

INTEGERS = range(-(2**31), 2**31)
"""The specification's Integer: 32 bits, signed."""

_DECIMAL = re.compile(r"([+-]?)0*([0-9]{1,10})\Z")
_BOOLEANS = {"true": True, "false": False}
_SHOWN = 40


def cast(value: Value, target: Type) -> Value | None:
    """Return the value as `target`, or None when there is no such cast: the caller raises a cast error."""
    if type(value) is target:
        return value
    if target is str:
        return to_text(value)
    if target is int:
        return parse_integer(value) if isinstance(value, str) else int(value)
    return _BOOLEANS.get(value.lower()) if isinstance(value, str) else value != 0


def to_text(value: Value) -> str:
    """Return the String form: decimal digits, `true` or `false`; every value has one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def parse_integer(text: str) -> int | None:
    """Return the Integer that an optional sign and ASCII digits spell; None when it is none or exceeds 32 bits."""
    digits = _DECIMAL.match(text)
    if not digits:
        return None
    number = int(digits[1] + digits[2])
    return number if number in INTEGERS else None


def shown(value: Value) -> str:
    """Return a value as messages quote it; long texts are cut."""
    text = to_text(value)
    if type(value) is not str:
        return text
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
