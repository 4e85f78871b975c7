"""What is done with lists: Kubernetes' own functions, those of `cel-go/ext/lists` (3) and of `cel-go/ext/sets`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cmp_to_key
from typing import Any

from eventmesh.cluster.api.cel.library.overload import Overload, function, member
from eventmesh.cluster.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    A,
    Type,
    list_of,
)
from eventmesh.cluster.api.cel.values import (
    CLASSES,
    NO_OVERLOAD,
    Budget,
    EvaluationError,
    Uint,
    contains,
    equal,
    is_number,
    type_of,
    unsigned,
    whole,
)

_ORDERED = (INT, UINT, DOUBLE, BOOL, DURATION, TIMESTAMP, STRING, BYTES)
_ORDERED_CLASSES = frozenset[type]().union(*(CLASSES[of.name] for of in _ORDERED))
_ADDED: Mapping[Type, Any] = {INT: 0, UINT: Uint(0), DOUBLE: 0.0, DURATION: timedelta()}


def _compared(budget: Budget) -> Callable[[Any, Any], int]:
    def compare(one: Any, other: Any) -> int:
        budget.spend(1)
        budget.spend_on(one)
        is_alike = type(one) is type(other) or (is_number(one) and is_number(other))
        # Python would put lists in an order, too, through all that is in them.
        if not is_alike or type(one) not in _ORDERED_CLASSES:
            raise EvaluationError(NO_OVERLOAD)
        try:
            return int(one > other) - int(one < other)
        except TypeError as error:
            raise EvaluationError(NO_OVERLOAD) from error

    return compare


def is_sorted(budget: Budget, items: list[Any]) -> bool:
    """Return whether no item is less than the one before it."""
    compare = _compared(budget)
    return all(compare(one, other) <= 0 for one, other in zip(items, items[1:], strict=False))


def in_order(budget: Budget, items: list[Any], keys: list[Any] | None = None) -> list[Any]:
    """Return `items` from the least to the greatest, by their `keys` if there are any; raises EvaluationError."""
    compare = _compared(budget)
    keys = items if keys is None else keys
    by_value = cmp_to_key(compare)
    order = sorted(range(len(items)), key=lambda number: by_value(keys[number]))
    return [items[number] for number in order]


def _sum(items: list[Any]) -> Any:
    total: Any = None
    for item in items:
        if total is None:
            total = item
        elif type(total) is not type(item):
            raise EvaluationError(NO_OVERLOAD)
        elif isinstance(item, Uint):
            total = unsigned(int(total) + int(item))
        else:
            total = whole(total + item) if isinstance(item, int) else total + item
    return total


def _summed(of: Type) -> Overload:
    return member((list_of(of),), of, lambda items: _sum(items) if items else _ADDED[of])


def _extreme(name: str, sign: int) -> tuple[Overload, ...]:
    def run(budget: Budget, items: list[Any]) -> Any:
        if not items:
            raise EvaluationError(f"{name} called on empty list")
        compare, best = _compared(budget), items[0]
        for item in items[1:]:
            if compare(item, best) * sign > 0:
                best = item
        return best

    return tuple(member((list_of(of),), of, run, counts=True) for of in _ORDERED)


def _index_of(budget: Budget, items: list[Any], wanted: Any) -> int:
    return next((number for number, item in enumerate(items) if equal(budget, item, wanted)), -1)


def _last_index_of(budget: Budget, items: list[Any], wanted: Any) -> int:
    return next((n for n in reversed(range(len(items))) if equal(budget, items[n], wanted)), -1)


def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise EvaluationError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise EvaluationError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if end > len(items):
        raise EvaluationError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


def _flatten(budget: Budget, items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    flat: list[Any] = []
    for item in items:
        budget.spend(1)
        flat += _flatten(budget, item, depth - 1) if isinstance(item, list) and depth else [item]
    return flat


def _distinct(budget: Budget, items: list[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if not contains(budget, found, item):
            found.append(item)
    return found


def _range(budget: Budget, end: int) -> list[int]:
    budget.spend(max(end, 0))
    return list(range(end))


def _has_all(budget: Budget, items: list[Any], wanted: list[Any]) -> bool:
    return all(contains(budget, items, item) for item in wanted)


def _are_equivalent(budget: Budget, one: list[Any], other: list[Any]) -> bool:
    return _has_all(budget, one, other) and _has_all(budget, other, one)


def _intersect(budget: Budget, one: list[Any], other: list[Any]) -> bool:
    return any(contains(budget, other, item) for item in one)


def _sort(budget: Budget, items: list[Any]) -> list[Any]:
    if items and type_of(items[0]) not in _ORDERED:
        raise EvaluationError("list elements must be comparable")
    return in_order(budget, items)


_LIST = list_of(A)
FUNCTIONS: Mapping[str, tuple[Overload, ...]] = {
    "isSorted": tuple(member((list_of(of),), BOOL, is_sorted, counts=True) for of in _ORDERED),
    "sum": tuple(map(_summed, _ADDED)),
    "max": _extreme("max", 1),
    "min": _extreme("min", -1),
    "indexOf": (member((_LIST, A), INT, _index_of, counts=True),),
    "lastIndexOf": (member((_LIST, A), INT, _last_index_of, counts=True),),
    "slice": (member((_LIST, INT, INT), _LIST, _slice),),
    "flatten": (
        member((list_of(list_of(A)),), _LIST, _flatten, counts=True),
        member((list_of(DYN), INT), list_of(DYN), _flatten, counts=True),
    ),
    "sort": tuple(member((list_of(of),), list_of(of), _sort, counts=True) for of in _ORDERED),
    "distinct": (member((_LIST,), _LIST, _distinct, counts=True),),
    "reverse": (member((_LIST,), _LIST, lambda items: items[::-1]),),
    "lists.range": (function((INT,), list_of(INT), _range, counts=True),),
    "sets.contains": (function((_LIST, _LIST), BOOL, _has_all, counts=True),),
    "sets.equivalent": (function((_LIST, _LIST), BOOL, _are_equivalent, counts=True),),
    "sets.intersects": (function((_LIST, _LIST), BOOL, _intersect, counts=True),),
}
