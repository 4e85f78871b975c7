"""The functions of expressions: of CEL itself, and of Kubernetes (`apiserver/pkg/cel/environment`, for 1.36)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from eventmesh.cluster.api.cel.library import kubernetes, lists, operators, optionals, texts, times, versions
from eventmesh.cluster.api.cel.library.overload import Overload

_ROOMS = (operators, times, texts, lists, optionals, kubernetes, versions)


def _all() -> Mapping[str, tuple[Overload, ...]]:
    found: dict[str, tuple[Overload, ...]] = {}
    for name, overloads in chain.from_iterable(room.FUNCTIONS.items() for room in _ROOMS):
        found[name] = (*found.get(name, ()), *overloads)
    return found


FUNCTIONS: Mapping[str, tuple[Overload, ...]] = _all()
"""By name: what there is to be called, in the order in which it is looked at."""
