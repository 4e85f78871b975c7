"""Operators, conversions and sizes (`cel-spec/doc/langdef.md` §list-of-standard-definitions)."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from eventmesh.cluster.api.cel.library.overload import Overload, function, member
from eventmesh.cluster.api.cel.library.times import duration_text, parse_duration, parse_timestamp, timestamp_text
from eventmesh.cluster.api.cel.types import (
    BOOL,
    BYTES,
    CIDR,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    IP,
    STRING,
    TIMESTAMP,
    UINT,
    A,
    B,
    Type,
    list_of,
    map_of,
    type_of,
)
from eventmesh.cluster.api.cel.values import (
    MAX_INT,
    Budget,
    EvaluationError,
    MapList,
    SetList,
    contains,
    equal,
    is_number,
    unsigned,
    whole,
)
from eventmesh.cluster.api.cel.values import type_of as type_at_run_time

_DIGITS_OF_G: Final = 6
"""Go writes a number with an exponent from a million on, and below a ten-thousandth."""
_LONGEST_NUMBER: Final = 400
"""No number of 64 bits is written with more characters that mean anything."""


def _quotient(one: int, other: int) -> int:
    if other == 0:
        raise EvaluationError("division by zero")
    return abs(one) // abs(other) * (1 if (one < 0) == (other < 0) else -1)


def _remainder(one: int, other: int) -> int:
    if other == 0:
        raise EvaluationError("modulus by zero")
    return one - other * _quotient(one, other)


def _float_quotient(one: float, other: float) -> float:
    if other == 0:
        return math.nan if one == 0 or math.isnan(one) else math.copysign(math.inf, one) * math.copysign(1, other)
    return one / other


def _int(run: Callable[[int, int], int]) -> Overload:
    return function((INT, INT), INT, lambda one, other: whole(run(one, other)))


def _uint(run: Callable[[int, int], int]) -> Overload:
    return function((UINT, UINT), UINT, lambda one, other: unsigned(run(int(one), int(other))))


def _moved(run: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return `run` on times, which have a first and a last."""

    def moved(one: Any, other: Any) -> Any:
        try:
            return run(one, other)
        except OverflowError as error:
            raise EvaluationError("timestamp overflow") from error

    return moved


def _joined_lists(budget: Budget, one: list[Any], other: list[Any]) -> list[Any]:
    """Return both lists in a row; of a set what is new in the other, of a list with keys what has not its key."""
    budget.spend(len(one) + len(other))
    if isinstance(one, SetList):
        return SetList([*one, *(item for item in other if not contains(budget, one, item))])
    if isinstance(one, MapList):
        late = {repr(one.key_of(item)): item for item in other}
        first = [late.pop(repr(one.key_of(item)), item) for item in one]
        return MapList([*first, *late.values()], one.keys)
    return [*one, *other]


def _ordered(run: Callable[[Any, Any], bool]) -> tuple[Overload, ...]:
    numbers = (INT, UINT, DOUBLE)
    same = (BOOL, STRING, BYTES, TIMESTAMP, DURATION)
    pairs = [*((one, other) for one in numbers for other in numbers), *((of, of) for of in same)]
    return tuple(function(pair, BOOL, run) for pair in pairs)


def at_index(items: list[Any], index: Any) -> Any:
    """Return the item at `index`, from zero; raises EvaluationError."""
    if not is_number(index) or index != int(index):
        raise EvaluationError(f"unsupported index type '{type_at_run_time(index)}' in list")
    if not 0 <= index < len(items):
        raise EvaluationError(f"index out of bounds: {int(index)}")
    return items[int(index)]


def at_key(entries: dict[Any, Any], key: Any) -> Any:
    """Return the value at `key`; raises EvaluationError."""
    if key not in entries:
        raise EvaluationError(f"no such key: {key}")
    return entries[key]


def _has_key(wanted: Any, entries: dict[Any, Any]) -> bool:
    return wanted in entries


def double_text(value: float) -> str:
    """Return a number as Go's `%g` writes it."""
    if not math.isfinite(value):
        return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}[repr(value)]
    sign, digits, _ = Decimal(repr(value)).normalize().as_tuple()
    number = Decimal(repr(value)).normalize()
    power = number.adjusted() if value else 0
    minus = "-" if sign else ""
    if -4 <= power < max(_DIGITS_OF_G, 0) or value == 0:
        return f"{minus}{abs(number):f}"
    body = "".join(map(str, digits))
    return f"{minus}{body[0]}{'.' + body[1:] if len(body) > 1 else ''}e{'-' if power < 0 else '+'}{abs(power):02d}"


def _whole_of_double(value: float) -> int:
    if not math.isfinite(value) or not -float(MAX_INT) <= value < float(MAX_INT):
        raise EvaluationError("integer overflow")
    return int(value)


def _number(read: Callable[[str], Any], name: str) -> Callable[[str], Any]:
    def run(text: str) -> Any:
        try:
            if len(text) > _LONGEST_NUMBER or "_" in text or text != text.strip():
                raise ValueError(text)
            return read(text)
        except ValueError as error:
            raise EvaluationError(f"type conversion error from 'string' to '{name}'") from error

    return run


def _bool(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise EvaluationError("type conversion error from 'string' to 'bool'")


def _text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from error


def _second(value: int) -> datetime:
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise EvaluationError("timestamp overflow") from error


def _seconds(value: datetime) -> int:
    return math.floor(value.timestamp())


def _converts(given: Type, result: Type, run: Callable[[Any], Any]) -> Overload:
    return function((given,), result, run)


def _identity(value: Any) -> Any:
    return value


_SIZED = (STRING, BYTES, list_of(A), map_of(A, B))
FUNCTIONS: Mapping[str, tuple[Overload, ...]] = {
    "_+_": (
        _int(operator.add),
        _uint(operator.add),
        function((DOUBLE, DOUBLE), DOUBLE, operator.add),
        function((STRING, STRING), STRING, operator.add),
        function((BYTES, BYTES), BYTES, operator.add),
        function((list_of(A), list_of(A)), list_of(A), _joined_lists, counts=True),
        function((TIMESTAMP, DURATION), TIMESTAMP, _moved(operator.add)),
        function((DURATION, TIMESTAMP), TIMESTAMP, _moved(operator.add)),
        function((DURATION, DURATION), DURATION, _moved(operator.add)),
    ),
    "_-_": (
        _int(operator.sub),
        _uint(operator.sub),
        function((DOUBLE, DOUBLE), DOUBLE, operator.sub),
        function((TIMESTAMP, TIMESTAMP), DURATION, _moved(operator.sub)),
        function((TIMESTAMP, DURATION), TIMESTAMP, _moved(operator.sub)),
        function((DURATION, DURATION), DURATION, _moved(operator.sub)),
    ),
    "_*_": (_int(operator.mul), _uint(operator.mul), function((DOUBLE, DOUBLE), DOUBLE, operator.mul)),
    "_/_": (_int(_quotient), _uint(_quotient), function((DOUBLE, DOUBLE), DOUBLE, _float_quotient)),
    "_%_": (_int(_remainder), _uint(_remainder)),
    "-_": (function((INT,), INT, lambda value: whole(-value)), function((DOUBLE,), DOUBLE, operator.neg)),
    "!_": (function((BOOL,), BOOL, operator.not_),),
    "_==_": (function((A, A), BOOL, equal, counts=True),),
    "_!=_": (function((A, A), BOOL, lambda budget, one, other: not equal(budget, one, other), counts=True),),
    "_<_": _ordered(operator.lt),
    "_<=_": _ordered(operator.le),
    "_>_": _ordered(operator.gt),
    "_>=_": _ordered(operator.ge),
    "_[_]": (function((list_of(A), INT), A, at_index), function((map_of(A, B), A), B, at_key)),
    "@in": (
        function((A, list_of(A)), BOOL, lambda budget, item, items: contains(budget, items, item), counts=True),
        function((A, map_of(A, B)), BOOL, _has_key),
    ),
    "size": tuple(make((of,), INT, len) for of in _SIZED for make in (function, member)),
    "type": (function((A,), type_of(A), type_at_run_time),),
    "dyn": (function((A,), DYN, _identity),),
    "int": (
        _converts(INT, INT, _identity),
        _converts(UINT, INT, lambda value: whole(int(value))),
        _converts(DOUBLE, INT, _whole_of_double),
        _converts(STRING, INT, _number(lambda text: whole(int(text)), "int")),
        _converts(TIMESTAMP, INT, _seconds),
        _converts(DURATION, INT, lambda value: value // timedelta(microseconds=1) * 1000),
    ),
    "uint": (
        _converts(UINT, UINT, _identity),
        _converts(INT, UINT, unsigned),
        _converts(DOUBLE, UINT, lambda value: unsigned(_whole_of_double(value))),
        _converts(STRING, UINT, _number(lambda text: unsigned(int(text)), "uint")),
    ),
    "double": (
        _converts(DOUBLE, DOUBLE, _identity),
        _converts(INT, DOUBLE, float),
        _converts(UINT, DOUBLE, float),
        _converts(STRING, DOUBLE, _number(float, "double")),
    ),
    "bool": (_converts(BOOL, BOOL, _identity), _converts(STRING, BOOL, _bool)),
    "bytes": (_converts(BYTES, BYTES, _identity), _converts(STRING, BYTES, str.encode)),
    "string": (
        _converts(STRING, STRING, _identity),
        _converts(BOOL, STRING, lambda value: "true" if value else "false"),
        _converts(INT, STRING, str),
        _converts(UINT, STRING, lambda value: str(int(value))),
        _converts(DOUBLE, STRING, double_text),
        _converts(BYTES, STRING, _text_of_bytes),
        _converts(TIMESTAMP, STRING, timestamp_text),
        _converts(DURATION, STRING, duration_text),
        _converts(IP, STRING, str),
        _converts(CIDR, STRING, str),
    ),
    "timestamp": (
        _converts(TIMESTAMP, TIMESTAMP, _identity),
        _converts(STRING, TIMESTAMP, parse_timestamp),
        _converts(INT, TIMESTAMP, _second),
    ),
    "duration": (
        _converts(DURATION, DURATION, _identity),
        _converts(STRING, DURATION, parse_duration),
        _converts(INT, DURATION, lambda value: timedelta(microseconds=value // 1000)),
    ),
}
"""Operators have the names that Kubernetes has them by in its sentences."""
