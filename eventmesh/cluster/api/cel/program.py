"""What a checked expression is made of: a type, and what gives its value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.cel import types
from eventmesh.cluster.api.cel.library.overload import Overload
from eventmesh.cluster.api.cel.types import Type
from eventmesh.cluster.api.cel.values import CLASSES, NO_OVERLOAD, SCALARS, Budget, EvaluationError


class Frame:
    """The variables of one run, and what it may still cost."""

    __slots__ = ("budget", "names")

    def __init__(self, names: dict[str, Any], budget: Budget) -> None:
        self.names = names
        self.budget = budget


Run = Callable[[Frame], Any]


class Part(NamedTuple):
    """A checked part of an expression."""

    type: Type
    run: Run


@frozen
class Program:
    """A checked expression: `run` gives a value of `type`, or raises EvaluationError or CostExceededError."""

    type: Type
    run: Run
    uses: frozenset[str]
    """The variables that occur in it."""


def boolean(value: Any) -> bool:
    """Return a truth; raises EvaluationError for what is none (the checker knows it only of what has a type)."""
    if value is True or value is False:
        return bool(value)
    raise EvaluationError(NO_OVERLOAD)


def conjunction(operands: list[Run], *, decided_by: bool) -> Run:
    """Return `&&` (decided by False) or `||` of `operands`: one that decides makes up for others that have no value."""

    def run(frame: Frame) -> bool:
        failure: EvaluationError | None = None
        for operand in operands:
            try:
                if boolean(operand(frame)) is decided_by:
                    return decided_by
            except EvaluationError as error:
                failure = failure or error
        if failure:
            raise failure
        return not decided_by

    return run


def call(candidates: list[Overload], arguments: list[Run]) -> Run:
    """Return the call of the first of `candidates` that takes the values that the arguments have."""
    ways = [(overload, [_classes(wanted) for wanted in overload.parameters]) for overload in candidates]

    def run(frame: Frame) -> Any:
        budget = frame.budget
        budget.spend(1)
        values = [argument(frame) for argument in arguments]
        for value in values:
            if type(value) not in SCALARS:
                budget.spend_on(value)
        overload = _chosen(ways, values)
        try:
            return overload.run(budget, *values) if overload.counts else overload.run(*values)
        except (TypeError, AttributeError) as error:
            # Of what is in a list or a map the checker knows no more than the schema says.
            raise EvaluationError(NO_OVERLOAD) from error
        except (ArithmeticError, ValueError) as error:
            # At the ends of Python's years and numbers.
            raise EvaluationError(f"out of range: {error}") from error

    return run


def _chosen(ways: list[tuple[Overload, list[frozenset[type] | None]]], values: list[Any]) -> Overload:
    for overload, accepted in ways:
        for classes, value in zip(accepted, values, strict=True):
            if classes is not None and type(value) not in classes:
                break
        else:
            return overload
    raise EvaluationError(NO_OVERLOAD)


def _classes(wanted: Type) -> frozenset[type] | None:
    """Return the classes that values of the type have; None = any."""
    return None if wanted.is_parameter or wanted == types.DYN else CLASSES.get(wanted.name, frozenset())
