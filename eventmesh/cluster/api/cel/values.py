"""What expressions compute with: JSON's values, a few of CEL's own, what they are equal to, and what they cost.

Whole numbers are `int`, unsigned ones `Uint`, quantities `Decimal`, times `datetime` and `timedelta` (to the
microsecond, where Go has nanoseconds).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any, Final
from urllib.parse import SplitResult

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.cel import types
from eventmesh.cluster.api.cel.types import Type

MAX_INT: Final = 2**63 - 1
MAX_UINT: Final = 2**64 - 1
CHARS_A_STEP: Final = 10
"""Characters of a text, or items of a list, that a function goes through at the price of one step (as upstream)."""

PAIRS_A_STEP: Final = 256
"""Pairs of characters that are looked at for the price of one step. Expressions that make the most of it take four
times what a step takes elsewhere; with a price that is right for them, honest ones could search no text of 4 KiB."""


class EvaluationError(Exception):
    """An expression that has no value for what it was given; `a || b` may still have one."""


class CostExceededError(Exception):
    """The budget is used up; nothing in the expression can mend that."""


NO_OVERLOAD: Final = "no such overload"


class Budget:
    """The steps that are left."""

    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take `steps`; raises CostExceededError, before the work is done, when there are not as many."""
        self.left -= steps
        if self.left < 0:
            raise CostExceededError

    def spend_on(self, *values: Any) -> None:
        """Take what going through the texts, lists, maps, URLs and versions among `values` costs."""
        for value in values:
            match value:
                case str() | list() | dict() | bytes():
                    self.spend(len(value) // CHARS_A_STEP)
                case SplitResult():
                    self.spend(sum(map(len, value)) // CHARS_A_STEP)
                case Version():
                    self.spend(len(value.early))

    def spend_on_pairs(self, one: int, other: int) -> None:
        """Take what looking from each of `one` characters at each of `other` costs."""
        self.spend(one * other // PAIRS_A_STEP)


class Uint(int):
    """An unsigned whole number."""


@frozen
class Maybe:
    """What may be absent."""

    is_there: bool = False
    value: Any = None


ABSENT: Final = Maybe()


@frozen
class NamedFormat:
    """A format that texts have or lack; `problems` says why."""

    name: str
    problems: Callable[[str], list[str]]


@frozen
class Version:
    """A version of software; what it was built from tells no two apart."""

    major: int
    minor: int
    patch: int
    early: tuple[str, ...] = ()
    """Of one before the release itself, what it is called (`rc.1`)."""

    @property
    def order(self) -> tuple[Any, ...]:
        """Return what comes before what: early ones before the release, numbers before words."""
        words = tuple((0, int(word), "") if word.isdigit() else (1, 0, word) for word in self.early)
        return (self.major, self.minor, self.patch, not self.early, words)


class SetList(list[Any]):
    """A list of which the order means nothing (`x-kubernetes-list-type: set`)."""


class MapList(list[Any]):
    """A list of which some fields are the key of each item (`x-kubernetes-list-type: map`)."""

    __slots__ = ("keys",)

    def __init__(self, items: list[Any], keys: tuple[str, ...]) -> None:
        super().__init__(items)
        self.keys = keys

    def key_of(self, item: Any) -> tuple[Any, ...]:
        """Return by what `item` is told from others."""
        return tuple(item.get(key) for key in self.keys) if isinstance(item, dict) else ()


_TYPES: Mapping[type, Type] = {
    type(None): types.NULL,
    bool: types.BOOL,
    int: types.INT,
    Uint: types.UINT,
    float: types.DOUBLE,
    str: types.STRING,
    bytes: types.BYTES,
    datetime: types.TIMESTAMP,
    timedelta: types.DURATION,
    Decimal: types.QUANTITY,
    SplitResult: types.URL,
    IPv4Address: types.IP,
    IPv6Address: types.IP,
    IPv4Interface: types.CIDR,
    IPv6Interface: types.CIDR,
    NamedFormat: types.FORMAT,
    Version: types.SEMVER,
    Maybe: types.optional_of(types.DYN),
    list: types.NAMES["list"],
    SetList: types.NAMES["list"],
    MapList: types.NAMES["list"],
    dict: types.NAMES["map"],
}
CLASSES: Mapping[str, frozenset[type]] = {
    of.name: frozenset(each for each, named in _TYPES.items() if named.name == of.name) for of in _TYPES.values()
}
"""The classes of the values of a type, by its name."""
SCALARS: Final = frozenset({bool, int, Uint, float, type(None)})
"""What costs the same, whatever it is."""


def type_of(value: Any) -> Type:
    """Return the type that `value` has at run time."""
    return types.type_of(types.DYN) if isinstance(value, Type) else _TYPES[type(value)]


def is_number(value: Any) -> bool:
    """Return whether `value` is a number of any type."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(budget: Budget, one: Any, other: Any) -> bool:
    """Return whether they are the same value: numbers by what they are worth, sets in any order."""
    budget.spend(1)
    if is_number(one) and is_number(other):
        return bool(one == other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and _same_items(budget, one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        budget.spend(min(len(one), len(other)) // CHARS_A_STEP)
        return one.keys() == other.keys() and all(equal(budget, value, other[key]) for key, value in one.items())
    if isinstance(one, str | bytes) and isinstance(other, str | bytes):
        budget.spend(min(len(one), len(other)) // CHARS_A_STEP)
    if isinstance(one, Maybe) and isinstance(other, Maybe):
        return one.is_there == other.is_there and equal(budget, one.value, other.value)
    return type(one) is type(other) and bool(one == other)


def _same_items(budget: Budget, one: list[Any], other: list[Any]) -> bool:
    # As upstream: it is the first that says what its order means.
    if isinstance(one, SetList):
        return all(contains(budget, other, item) for item in one) and all(contains(budget, one, item) for item in other)
    if isinstance(one, MapList) and isinstance(other, MapList):
        budget.spend(len(one) + len(other))
        known = {repr(other.key_of(item)): item for item in other}
        return all(equal(budget, item, known.get(repr(one.key_of(item)))) for item in one)
    return all(equal(budget, first, second) for first, second in zip(one, other, strict=True))


def contains(budget: Budget, items: list[Any], wanted: Any) -> bool:
    """Return whether one of `items` is equal to `wanted`."""
    return any(equal(budget, item, wanted) for item in items)


def whole(value: int) -> int:
    """Return `value` if 64 bits hold it; raises EvaluationError."""
    if not -MAX_INT - 1 <= value <= MAX_INT:
        raise EvaluationError("integer overflow")
    return value


def unsigned(value: int) -> Uint:
    """Return `value` if 64 bits without a sign hold it; raises EvaluationError."""
    if not 0 <= value <= MAX_UINT:
        raise EvaluationError("unsigned integer overflow")
    return Uint(value)
