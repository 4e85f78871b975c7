"""Expressions as closures: each function here takes the terms below an operator and returns the term above them.

A term's `run` gets the attributes of an event and returns its value, or raises Fault at its first error: an operator
whose operand failed is worth the zero of its own type, so nothing more needs to be computed. What is known when an
expression is compiled (types, literals, attribute names) is settled there, once.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.cesql.errors import ErrorKind, EvaluationError, Failure, Fault
from eventmesh.cloudevents.cesql.functions import Function
from eventmesh.cloudevents.cesql.like import Matcher
from eventmesh.cloudevents.cesql.values import INTEGERS, TYPE_NAMES, Type, Value, cast, shown, to_text

Attributes = Mapping[str, Value]
Run = Callable[[Attributes], Value]


@frozen
class Term:
    """A compiled (sub)expression."""

    run: Run
    returns: Type | None
    """Its type; None for an attribute, whose type is the event's."""
    depth: int = 1
    """Operators and calls on the longest way down: how deep `run` recurses."""
    constant: Value | None = None
    """A literal's value."""


Link = tuple[str, Term]
"""A binary operator and what stands to its right."""


def literal(value: Value) -> Term:
    """Return the term of a literal."""
    return Term(lambda _attributes: value, type(value), constant=value)


def attribute(name: str) -> Term:
    """Return the term of a context attribute; it fails with missingAttribute where the event has none."""
    missing = EvaluationError(ErrorKind.MISSING_ATTRIBUTE, f"the event has no attribute {name}")

    def run(attributes: Attributes) -> Value:
        value = attributes.get(name)
        if value is None:
            raise Fault(missing)
        return value

    return Term(run, None)


def exists(name: str) -> Term:
    """Return the term of EXISTS."""
    return Term(lambda attributes: name in attributes, bool)


def negation(operand: Term) -> Term:
    """Return the term of NOT."""
    inner = _casting(operand, bool)
    return Term(lambda attributes: not inner(attributes), bool, operand.depth + 1)


def minus(operand: Term) -> Term:
    """Return the term of unary minus."""
    inner = _casting(operand, int)
    return Term(lambda attributes: _in_range(-_integer(inner(attributes))), int, operand.depth + 1)


def like(operand: Term, matches: Matcher, *, negated: bool) -> Term:
    """Return the term of LIKE or NOT LIKE."""
    inner = operand.run

    def run(attributes: Attributes) -> bool:
        value = inner(attributes)
        return matches(value if isinstance(value, str) else to_text(value)) is not negated

    return Term(run, bool, operand.depth + 1)


def contained(operand: Term, items: Sequence[Term], *, negated: bool) -> Term:
    """Return the term of IN or NOT IN: items are cast to the type on the left, and the first equal one decides."""
    inner, runs = operand.run, tuple(item.run for item in items)
    depth = 1 + max(operand.depth, *(item.depth for item in items))

    def run(attributes: Attributes) -> bool:
        value = inner(attributes)
        kind = type(value)
        return any(_cast(item(attributes), kind) == value for item in runs) is not negated

    constants = {item.constant for item in items}
    if operand.returns is None and all(type(constant) is str for constant in constants):
        return Term(_among_texts(inner, constants, run, negated=negated), bool, depth)
    return Term(run, bool, depth)


def _among_texts(inner: Run, constants: set[Value | None], otherwise: Run, *, negated: bool) -> Run:
    """The usual list, an attribute among literal strings, is one look into a set."""

    def run(attributes: Attributes) -> Value:
        value = inner(attributes)
        return (value in constants) is not negated if type(value) is str else otherwise(attributes)

    return run


def call(function: Function, arguments: Sequence[Term]) -> Term:
    """Return the term of a call; the caller has made sure that the function takes so many arguments."""
    kinds = (*function.parameters, *[function.rest] * (len(arguments) - len(function.parameters)))
    runs = tuple(_casting(argument, kind) for argument, kind in zip(arguments, kinds, strict=True))
    invoke, returns = function.call, function.returns
    invalid = EvaluationError(ErrorKind.FUNCTION_EVALUATION, f"{function.name} did not return {TYPE_NAMES[returns]}")

    def run(attributes: Attributes) -> Value:
        result = invoke(*[argument(attributes) for argument in runs])
        if isinstance(result, Failure):
            raise Fault(result.error, result.value if type(result.value) is returns else returns(), run)
        if type(result) is not returns:
            raise Fault(invalid, returns(), run)
        return result

    return Term(run, returns, 1 + max((argument.depth for argument in arguments), default=0))


def logic(first: Term, links: Sequence[Link]) -> Term:
    """Return the term of AND, OR and XOR, from left to right, evaluated no further than the value needs."""
    depth = 1 + max(first.depth, *(term.depth for _, term in links))
    runs = [_casting(term, bool) for term in (first, *(term for _, term in links))]
    names = {name for name, _ in links}
    if names == {"AND"}:
        return Term(lambda attributes: all(run(attributes) for run in runs), bool, depth)
    if names == {"OR"}:
        return Term(lambda attributes: any(run(attributes) for run in runs), bool, depth)
    start, steps = runs[0], [(name, run) for (name, _), run in zip(links, runs[1:], strict=True)]

    def mixed(attributes: Attributes) -> Value:
        value = start(attributes)
        for name, run in steps:
            if name == "XOR":
                value = value is not run(attributes)
            elif value is (name == "AND"):
                value = run(attributes)
        return value

    return Term(mixed, bool, depth)


def arithmetic(first: Term, links: Sequence[Link]) -> Term:
    """Return the term of + - * / % in one level of precedence, from left to right."""
    depth = 1 + max(first.depth, *(term.depth for _, term in links))
    start = _casting(first, int)
    steps = [(_ARITHMETIC[name], _casting(term, int)) for name, term in links]

    def run(attributes: Attributes) -> Value:
        value = _integer(start(attributes))
        for compute, operand in steps:
            value = _in_range(compute(value, _integer(operand(attributes))))
        return value

    return Term(run, int, depth)


def comparison(first: Term, links: Sequence[Link]) -> Term:
    """Return the term of = != <> < <= > >=, from left to right."""
    term = first
    for name, right in links:
        depth = 1 + max(term.depth, right.depth)
        if name in _ORDER:
            term = Term(_ordered(_ORDER[name], _casting(term, int), _casting(right, int)), bool, depth)
        else:
            term = Term(_equal(term.run, right, negated=name != "="), bool, depth)
    return term


def _ordered(holds: Callable[[int, int], bool], left: Run, right: Run) -> Run:
    return lambda attributes: holds(_integer(left(attributes)), _integer(right(attributes)))


def _equal(left: Run, right: Term, *, negated: bool) -> Run:
    """The type on the right decides which `=` is meant; the left side is cast to it."""
    if right.constant is not None:
        return _equal_to(left, right.constant, negated=negated)
    inner = right.run

    def run(attributes: Attributes) -> bool:
        value, other = left(attributes), inner(attributes)
        return (_cast(value, type(other)) == other) is not negated

    return run


def _equal_to(left: Run, constant: Value, *, negated: bool) -> Run:
    kind = type(constant)

    def run(attributes: Attributes) -> bool:
        value = left(attributes)
        if type(value) is not kind:
            value = _cast(value, kind)
        return (value == constant) is not negated

    return run


def _casting(term: Term, kind: Type | None) -> Run:
    """Return the term's closure, with a cast behind it unless its type is already `kind` or anything will do."""
    inner = term.run
    if kind is None or term.returns is kind:
        return inner

    def run(attributes: Attributes) -> Value:
        value = inner(attributes)
        return value if type(value) is kind else _cast(value, kind)

    return run


def _cast(value: Value, kind: Type) -> Value:
    result = cast(value, kind)
    if result is None:
        raise Fault(EvaluationError(ErrorKind.CAST, f"{shown(value)} cannot be cast to {TYPE_NAMES[kind]}"))
    return result


def _integer(value: Value) -> int:
    return value if type(value) is int else int(value)


def _in_range(value: int) -> int:
    # The specification is silent on overflow; wrapping around would let a filter pass by accident (docs/adr/0015).
    if value not in INTEGERS:
        raise Fault(EvaluationError(ErrorKind.MATH, f"{value} exceeds the Integer's 32 bits"))
    return value


def _divide(dividend: int, divisor: int) -> int:
    """Towards zero, not down as Python's // does."""
    if divisor == 0:
        raise Fault(EvaluationError(ErrorKind.MATH, f"{dividend} / 0"))
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) is (divisor < 0) else -quotient


def _remainder(dividend: int, divisor: int) -> int:
    """With the sign of the dividend, not of the divisor as Python's % has it."""
    if divisor == 0:
        raise Fault(EvaluationError(ErrorKind.MATH, f"{dividend} % 0"))
    remainder = abs(dividend) % abs(divisor)
    return -remainder if dividend < 0 else remainder


_ARITHMETIC: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _remainder,
}
_ORDER: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
