"""The built-in functions (cesql/spec.md, section 3.5) and the table in which calls are looked up by name and arity.

INT, BOOL and STRING stand in the conformance suite, IS_INT and IS_BOOL in the Go and Java SDKs; the text has neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from eventmesh.base.errors import UsageError
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.cesql.errors import ErrorKind, EvaluationError, Failure
from eventmesh.cloudevents.cesql.values import INTEGERS, Type, Value, cast, parse_integer, to_text

MAX_TEXT_LENGTH = 65_536
"""Most characters a function may return. An attribute has at most 16 KiB, but CONCAT(a, a, ...) within the longest
expression would otherwise build 20 MiB for each event and trigger."""

_WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""Unicode's White_Space property. Python's own strip() would also take the separators U+001C to U+001F."""


@frozen
class Function:
    """One overload: a name, what it takes and gives, and the total function that computes it."""

    name: str
    """Letters and underscores; calls may write it in any case."""
    parameters: tuple[Type | None, ...]
    """The types that arguments are cast to; None takes any."""
    returns: Type
    call: Callable[..., Value | Failure]
    """Gets the cast arguments; never raises, but returns a Failure."""
    rest: Type | None = None
    """The type of further arguments; None when there may be none."""


class FunctionTable:
    """Functions by name and arity; immutable."""

    def __init__(self, functions: Iterable[Function]) -> None:
        self._fixed: dict[tuple[str, int], Function] = {}
        self._variadic: dict[str, Function] = {}
        for function in functions:
            self._add(function)

    def _add(self, function: Function) -> None:
        name, arity = function.name.upper(), len(function.parameters)
        variadic = self._variadic.get(name)
        largest = max((other for known, other in self._fixed if known == name), default=-1)
        if function.rest is not None:
            if variadic is not None or arity <= largest:
                raise UsageError(f"{name}: only one overload may be variadic, with more fixed arguments than any other")
            self._variadic[name] = function
        elif (name, arity) in self._fixed or (variadic is not None and arity >= len(variadic.parameters)):
            raise UsageError(f"{name}: there is already a function that takes {arity} arguments")
        else:
            self._fixed[name, arity] = function

    def find(self, name: str, arity: int) -> Function | None:
        """Return the overload that a call with so many arguments means, or None."""
        found = self._fixed.get((name.upper(), arity)) or self._variadic.get(name.upper())
        return found if found is not None and arity >= len(found.parameters) else None

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted({name for name, _ in self._fixed} | set(self._variadic))

    def extended(self, *functions: Function) -> FunctionTable:
        """Return a table with more functions; raises UsageError for an overload that calls could not tell apart."""
        return FunctionTable([*self._fixed.values(), *self._variadic.values(), *functions])


def _failed(message: str, value: Value, kind: ErrorKind = ErrorKind.FUNCTION_EVALUATION) -> Failure:
    return Failure(EvaluationError(kind, message), value)


def _bounded(text: str) -> str | Failure:
    return text if len(text) <= MAX_TEXT_LENGTH else _too_long(len(text))


def _too_long(length: int) -> Failure:
    return _failed(f"the result would have {length} characters, more than {MAX_TEXT_LENGTH}", "")


def _concat(*texts: str) -> str | Failure:
    return _joined("", texts)


def _concat_ws(delimiter: str, *texts: str) -> str | Failure:
    return _joined(delimiter, texts)


def _joined(delimiter: str, texts: tuple[str, ...]) -> str | Failure:
    length = sum(map(len, texts)) + len(delimiter) * max(0, len(texts) - 1)
    return delimiter.join(texts) if length <= MAX_TEXT_LENGTH else _too_long(length)


def _left(text: str, count: int) -> str | Failure:
    return text[:count] if count >= 0 else _failed(f"LEFT: {count} characters cannot be taken", text)


def _right(text: str, count: int) -> str | Failure:
    return (
        text[max(0, len(text) - count) :] if count >= 0 else _failed(f"RIGHT: {count} characters cannot be taken", text)
    )


def _substring(text: str, position: int, length: int = MAX_TEXT_LENGTH) -> str | Failure:
    if not -len(text) <= position <= len(text):
        return _failed(f"SUBSTRING: position {position} is outside a text of {len(text)} characters", "")
    if length < 0:
        return _failed(f"SUBSTRING: length {length} is negative", "")
    if position == 0:
        return ""
    start = position - 1 if position > 0 else len(text) + position
    return text[start : start + length]


def _absolute(number: int) -> int | Failure:
    if number == INTEGERS.start:
        return _failed(f"ABS: the absolute value of {number} exceeds 32 bits", INTEGERS.stop - 1, ErrorKind.MATH)
    return abs(number)


def _same(value: Value) -> Value:
    return value


def _is_integer(value: Value) -> bool:
    return parse_integer(to_text(value)) is not None if type(value) is not bool else True


def _is_boolean(value: Value) -> bool:
    return cast(value, bool) is not None


BUILT_IN = FunctionTable(
    [
        Function("LENGTH", (str,), int, len),
        Function("CONCAT", (), str, _concat, rest=str),
        Function("CONCAT_WS", (str,), str, _concat_ws, rest=str),
        Function("LOWER", (str,), str, lambda text: _bounded(text.lower())),
        Function("UPPER", (str,), str, lambda text: _bounded(text.upper())),
        Function("TRIM", (str,), str, lambda text: text.strip(_WHITE_SPACE)),
        Function("LEFT", (str, int), str, _left),
        Function("RIGHT", (str, int), str, _right),
        Function("SUBSTRING", (str, int), str, _substring),
        Function("SUBSTRING", (str, int, int), str, _substring),
        Function("ABS", (int,), int, _absolute),
        Function("INT", (int,), int, _same),
        Function("BOOL", (bool,), bool, _same),
        Function("STRING", (str,), str, _same),
        Function("IS_INT", (None,), bool, _is_integer),
        Function("IS_BOOL", (None,), bool, _is_boolean),
    ]
)
"""What every expression may call."""
