"""Values that may be absent (`cel-go/cel/library.go` §OptionalTypes)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from eventmesh.cluster.api.cel.library.operators import at_index, at_key
from eventmesh.cluster.api.cel.library.overload import Overload, function, member
from eventmesh.cluster.api.cel.types import BOOL, INT, A, B, list_of, map_of, optional_of
from eventmesh.cluster.api.cel.values import ABSENT, EvaluationError, Maybe

_MAYBE = optional_of(A)


def _of_something(value: Any) -> Maybe:
    is_nothing = value is None or value in (False, 0, "", b"", timedelta()) or value == [] or value == {}
    return ABSENT if is_nothing else Maybe(is_there=True, value=value)


def _value(maybe: Maybe) -> Any:
    if not maybe.is_there:
        raise EvaluationError("optional.none() dereference")
    return maybe.value


def at(container: Any, index: Any) -> Maybe:
    """Return what is at `index` of a list or a map, or of one that may be absent."""
    if isinstance(container, Maybe):
        if not container.is_there:
            return ABSENT
        container = container.value
    try:
        found = at_index(container, index) if isinstance(container, list) else at_key(container, index)
    except EvaluationError:
        return ABSENT
    return Maybe(is_there=True, value=found)


def _unwrap(maybes: list[Maybe]) -> list[Any]:
    return [maybe.value for maybe in maybes if maybe.is_there]


_CONTAINERS = (
    ((list_of(A), INT), _MAYBE),
    ((optional_of(list_of(A)), INT), _MAYBE),
    ((map_of(A, B), A), optional_of(B)),
    ((optional_of(map_of(A, B)), A), optional_of(B)),
)
FUNCTIONS: Mapping[str, tuple[Overload, ...]] = {
    "optional.of": (function((A,), _MAYBE, lambda value: Maybe(is_there=True, value=value)),),
    "optional.ofNonZeroValue": (function((A,), _MAYBE, _of_something),),
    "optional.none": (function((), _MAYBE, lambda: ABSENT),),
    "optional.unwrap": (function((list_of(_MAYBE),), list_of(A), _unwrap),),
    "unwrapOpt": (member((list_of(_MAYBE),), list_of(A), _unwrap),),
    "value": (member((_MAYBE,), A, _value),),
    "hasValue": (member((_MAYBE,), BOOL, lambda maybe: maybe.is_there),),
    "first": (member((list_of(A),), _MAYBE, lambda items: at(items, 0)),),
    "last": (member((list_of(A),), _MAYBE, lambda items: at(items, len(items) - 1)),),
    "_[?_]": tuple(function(parameters, result, at) for parameters, result in _CONTAINERS),
    "_[_]": tuple(function(parameters, result, at) for parameters, result in _CONTAINERS[1::2]),
}
"""`or` and `orValue` are the checker's: what follows an optional that is there is not evaluated."""
