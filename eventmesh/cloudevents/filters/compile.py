"""From a Trigger's `spec` to one function: finds the dialects, nests them, refuses what it does not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.filters import cesql, exact, legacy, prefix, suffix
from eventmesh.cloudevents.filters.attributes import Filter, FilterError

__all__ = ["Filter", "FilterError", "compile_trigger_filter"]

MAX_DEPTH = 16
"""Deepest nesting of all, any and not: recursion stays bounded whatever is written."""

MAX_FILTERS = 256
"""Most entries of one list of filters: every event may be compared with all of them."""

_LEAF_DIALECTS: Mapping[str, Callable[[object, str], Filter]] = {
    "exact": exact.compile_argument,
    "prefix": prefix.compile_argument,
    "suffix": suffix.compile_argument,
    "cesql": cesql.compile_argument,
}
_DIALECTS = (*_LEAF_DIALECTS, "all", "any", "not")


def compile_trigger_filter(spec: Mapping[str, object]) -> Filter:
    """Return the filter of a Trigger's `spec`: `filters` when there is any, else `filter.attributes`.

    Raises FilterError with the path of the fault; the caller refuses the Trigger.
    """
    filters = spec.get("filters")
    if filters:
        return _all(_entries(filters, "spec.filters", 0))
    old = spec.get("filter") or {}
    if not isinstance(old, Mapping):
        raise FilterError("spec.filter", "must be an object")
    return legacy.compile_argument(old.get("attributes"), "spec.filter.attributes")


def compile_filter(entry: object, path: str = "filter") -> Filter:
    """Return one filter, of any dialect; raises FilterError with the path of the fault, `path` and on."""
    return _one(entry, path, 0)


def _entries(argument: object, path: str, depth: int) -> tuple[Filter, ...]:
    if not isinstance(argument, Sequence) or isinstance(argument, str) or not argument:
        raise FilterError(path, "must be a list of at least one filter")
    if len(argument) > MAX_FILTERS:
        raise FilterError(path, f"has {len(argument)} filters, more than {MAX_FILTERS}")
    return tuple(_one(entry, f"{path}[{at}]", depth) for at, entry in enumerate(argument))


def _one(entry: object, path: str, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise FilterError(path, f"is nested deeper than {MAX_DEPTH}")
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise FilterError(path, f"must be an object with exactly one dialect of {', '.join(_DIALECTS)}")
    ((dialect, argument),) = entry.items()
    below = f"{path}.{dialect}"
    if dialect in _LEAF_DIALECTS:
        return _LEAF_DIALECTS[dialect](argument, below)
    match dialect:
        case "all":
            return _all(_entries(argument, below, depth + 1))
        case "any":
            return _any(_entries(argument, below, depth + 1))
        case "not":
            return _not(_one(argument, below, depth + 1))
        case _:
            raise FilterError(below, f"unknown dialect; use one of {', '.join(_DIALECTS)}")


def _all(filters: tuple[Filter, ...]) -> Filter:
    if len(filters) == 1:
        return filters[0]
    return lambda event: all(passes(event) for passes in filters)


def _any(filters: tuple[Filter, ...]) -> Filter:
    return lambda event: any(passes(event) for passes in filters)


def _not(inner: Filter) -> Filter:
    def passes(event: Event) -> bool:
        return not inner(event)

    return passes
