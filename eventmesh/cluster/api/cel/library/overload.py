"""One way to call a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.cel.types import Type


@frozen
class Overload:
    """The types it takes (of a member first that of what stands before the dot), what it gives, and how."""

    parameters: tuple[Type, ...]
    result: Type
    run: Callable[..., Any]
    is_member: bool = False
    counts: bool = False
    """Whether `run` is handed the budget first, because what it costs is more than going once through its arguments."""


def function(parameters: tuple[Type, ...], result: Type, run: Callable[..., Any], *, counts: bool = False) -> Overload:
    """Return an overload that is called as `f(x)`."""
    return Overload(parameters, result, run, counts=counts)


def member(parameters: tuple[Type, ...], result: Type, run: Callable[..., Any], *, counts: bool = False) -> Overload:
    """Return an overload that is called as `x.f()`."""
    return Overload(parameters, result, run, is_member=True, counts=counts)
