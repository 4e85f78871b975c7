"""The error types of cesql/spec.md, section 3.3: those that stop compiling, and those that an evaluation returns."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.cesql.values import Value


class ErrorKind(StrEnum):
    """The names that the specification's conformance suite uses."""

    PARSE = "parse"
    MATH = "math"
    CAST = "cast"
    MISSING_ATTRIBUTE = "missingAttribute"
    MISSING_FUNCTION = "missingFunction"
    FUNCTION_EVALUATION = "functionEvaluation"
    GENERIC = "generic"


class CesqlError(MeshError):
    """An expression cannot be compiled: `kind` is PARSE or MISSING_FUNCTION. Whoever wrote it must change it.

    `line` and `column` count from 1; both are 0 when the expression as a whole is at fault.
    """

    def __init__(self, kind: ErrorKind, problem: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"line {line}, column {column}: {problem}" if line else problem)
        self.kind = kind
        self.problem = problem
        self.line = line
        self.column = column


@frozen
class EvaluationError:
    """One error of an evaluation, for a person to read."""

    kind: ErrorKind
    message: str


@frozen
class Failure:
    """What a function returns in place of a value when it fails: `value` is what its call is worth all the same."""

    error: EvaluationError
    value: Value


class Fault(Exception):
    """Interrupts an evaluation at its first error; never leaves `Expression`."""

    def __init__(
        self, error: EvaluationError, value: Value = False, origin: Callable[..., Value] | None = None
    ) -> None:
        self.error = error
        self.value = value
        """What the operator that failed is worth, if it is the outermost one."""
        self.origin = origin
        """The closure that `value` is the value of; None when its type's zero is meant."""
