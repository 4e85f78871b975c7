"""From text to an Expression, and what evaluating one returns."""

from __future__ import annotations

from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.cesql.errors import CesqlError, ErrorKind, EvaluationError, Fault
from eventmesh.cloudevents.cesql.functions import BUILT_IN, FunctionTable
from eventmesh.cloudevents.cesql.operators import Term
from eventmesh.cloudevents.cesql.values import Value
from eventmesh.cloudevents.event import Event

MAX_LENGTH = 4096
"""Longest expression in characters. It bounds what one event costs a trigger, with the number of LIKEs
(`parser.MAX_PATTERNS`); a list of a hundred event types fits."""


@frozen
class Result:
    """A value, always, and the errors met on the way to it."""

    value: Value
    errors: tuple[EvaluationError, ...] = ()
    """At most one: evaluation ends at the first (cesql/spec.md, section 4.1, "Fail fast mode")."""


class Expression:
    """A compiled expression; immutable, and total: no event makes it raise."""

    __slots__ = ("_run", "_zero", "text")

    def __init__(self, text: str, term: Term) -> None:
        self.text = text
        """The expression as it was written."""
        self._run = term.run
        # An attribute's type is not known without it: then the specification wants false (section 3.2).
        self._zero: Value = term.returns() if term.returns is not None else False

    def evaluate(self, event: Event) -> Result:
        """Return the value for an event; with an error, the zero of the expression's type or what a function says."""
        try:
            return Result(self._run(event.attributes))
        except Fault as fault:
            return Result(fault.value if fault.origin is self._run else self._zero, (fault.error,))

    def passes(self, event: Event) -> bool:
        """Return whether the value is Boolean true and there is no error: what a filter asks (section 1.2)."""
        try:
            return self._run(event.attributes) is True
        except Fault:
            return False


def compile_cesql(text: str, functions: FunctionTable = BUILT_IN) -> Expression:
    """Return the compiled expression; raises CesqlError with line and column of what is wrong with the text."""
    if len(text) > MAX_LENGTH:
        problem = f"the expression has {len(text)} characters, more than {MAX_LENGTH}"
        raise CesqlError(ErrorKind.PARSE, problem)
    # The grammar library costs memory and time to import: only a process that compiles an expression pays.
    from eventmesh.cloudevents.cesql.parser import parse

    return Expression(text, parse(text, functions))
