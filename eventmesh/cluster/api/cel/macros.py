"""Macros of a list, a map or an optional: what binds names (`cel-go/parser/macro.go`, `ext/comprehensions.go`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.cel import types
from eventmesh.cluster.api.cel.checker import Checker, Macro, Macros
from eventmesh.cluster.api.cel.library.lists import in_order
from eventmesh.cluster.api.cel.program import Frame, Part, Run, boolean
from eventmesh.cluster.api.cel.syntax import Call, Expression, Name
from eventmesh.cluster.api.cel.types import BOOL, DYN, INT, WRONG, Type
from eventmesh.cluster.api.cel.values import ABSENT, NO_OVERLOAD, EvaluationError, Maybe


@frozen
class _Loop:
    """What is gone through, under which names, and what is worked out at each step."""

    range: Run
    names: tuple[str, ...]
    items: tuple[Type, ...]
    """The types of what the names are bound to."""
    bodies: tuple[Part, ...]

    def steps(self, frame: Frame) -> Iterator[tuple[Any, Frame]]:
        """Yield each key in turn (each item, where there is one name), and where the names are bound to it."""
        container = self.range(frame)
        if not isinstance(container, list | dict):
            raise EvaluationError(NO_OVERLOAD)
        if isinstance(container, dict):
            pairs: Iterator[tuple[Any, Any]] = iter(container.items())
        else:
            pairs = enumerate(container) if len(self.names) > 1 else zip(container, container, strict=True)
        # Of its own: where a step has no value, what makes up for that must not find the names as the step left them.
        inner = Frame(dict(frame.names), frame.budget)
        for pair in pairs:
            frame.budget.spend(1)
            inner.names.update(zip(self.names, pair, strict=False))
            yield pair[0], inner


def _loop(checker: Checker, expression: Call, target: Expression, names: int) -> _Loop | None:
    """Return the loop of a macro whose first arguments are names; None when it is told what is wrong."""
    over = checker.part(target)
    variables: list[str] = []
    for argument in expression.arguments[:names]:
        if not isinstance(argument, Name):
            checker.wrong(argument.position, "argument must be a simple name")
            return None
        variables.append(argument.name)
    items = _items(over.type, names)
    if items is None:
        problem = f"expression of type '{over.type}' cannot be range of a comprehension (must be list, map, or dynamic)"
        checker.wrong(target.position, problem)
        return None
    before, used = dict(checker.variables), set(checker.used)
    checker.variables.update(zip(variables, items, strict=True))
    bodies = tuple(checker.part(argument) for argument in expression.arguments[names:])
    checker.variables = before
    checker.used -= set(variables) - used
    return _Loop(over.run, tuple(variables), items, bodies)


def _items(of: Type, names: int) -> tuple[Type, ...] | None:
    if of in (DYN, WRONG):
        return (of,) * names
    if of.name == "list":
        return of.params if names == 1 else (INT, *of.params)
    if of.name == "map":
        return of.params[:names]
    return None


_WRONG: Final = Part(WRONG, lambda frame: None)


def _quantifier(names: int) -> Macro:
    """Return `all` and `exists`: a step that decides makes up for steps that have no value."""

    def macro(checker: Checker, expression: Call, target: Expression) -> Part:
        loop = _loop(checker, expression, target, names)
        if loop is None:
            return _WRONG
        decided_by = expression.function == "exists"
        body, where = loop.bodies[0], expression.arguments[names]
        if not types.fits(BOOL, body.type, {}):
            return checker.wrong(where.position, f"expected type 'bool' but found '{body.type}'")

        def run(frame: Frame) -> bool:
            failure: EvaluationError | None = None
            for _, inner in loop.steps(frame):
                try:
                    if boolean(body.run(inner)) is decided_by:
                        return decided_by
                except EvaluationError as error:
                    failure = failure or error
            if failure:
                raise failure
            return not decided_by

        return Part(BOOL, run)

    return macro


def _one(names: int) -> Macro:
    def macro(checker: Checker, expression: Call, target: Expression) -> Part:
        loop = _loop(checker, expression, target, names)
        if loop is None or not checker.chosen(expression, loop.bodies[0].type, INT):
            return _WRONG
        body = loop.bodies[0]

        def run(frame: Frame) -> bool:
            # No short cut: every step counts, also by having no value.
            return sum([boolean(body.run(inner)) for _, inner in loop.steps(frame)]) == 1

        return Part(BOOL, run)

    return macro


def _mapped(names: int, *, is_chosen: bool) -> Macro:
    """Return `map` and `transformList`, with or without a condition before what is made of each step."""

    def macro(checker: Checker, expression: Call, target: Expression) -> Part:
        loop = _loop(checker, expression, target, names)
        if loop is None:
            return _WRONG
        body = loop.bodies[-1]
        if is_chosen and not checker.chosen(expression, loop.bodies[0].type, types.list_of(body.type)):
            return _WRONG

        def run(frame: Frame) -> list[Any]:
            steps = loop.steps(frame)
            return [body.run(inner) for _, inner in steps if not is_chosen or boolean(loop.bodies[0].run(inner))]

        return Part(types.list_of(body.type), run)

    return macro


def _transformed(*, is_chosen: bool) -> Macro:
    def macro(checker: Checker, expression: Call, target: Expression) -> Part:
        loop = _loop(checker, expression, target, 2)
        if loop is None:
            return _WRONG
        body = loop.bodies[-1]
        of = types.map_of(loop.items[0], body.type)
        if is_chosen and not checker.chosen(expression, loop.bodies[0].type, of):
            return _WRONG

        def run(frame: Frame) -> dict[Any, Any]:
            steps = loop.steps(frame)
            chosen = ((key, inner) for key, inner in steps if not is_chosen or boolean(loop.bodies[0].run(inner)))
            return {key: body.run(inner) for key, inner in chosen}

        return Part(of, run)

    return macro


def _filter(checker: Checker, expression: Call, target: Expression) -> Part:
    loop = _loop(checker, expression, target, 1)
    if loop is None:
        return _WRONG
    of = types.list_of(loop.items[0])
    if not checker.chosen(expression, loop.bodies[0].type, of):
        return _WRONG
    condition, name = loop.bodies[0], loop.names[0]

    def run(frame: Frame) -> list[Any]:
        return [inner.names[name] for _, inner in loop.steps(frame) if boolean(condition.run(inner))]

    return Part(of, run)


def _sort_by(checker: Checker, expression: Call, target: Expression) -> Part:
    loop = _loop(checker, expression, target, 1)
    if loop is None:
        return _WRONG
    body, name = loop.bodies[0], loop.names[0]
    of = types.list_of(loop.items[0])

    def run(frame: Frame) -> list[Any]:
        pairs = [(inner.names[name], body.run(inner)) for _, inner in loop.steps(frame)]
        return in_order(frame.budget, [item for item, _ in pairs], [key for _, key in pairs])

    return Part(of, run)


def _in_optional(checker: Checker, expression: Call, target: Expression) -> Part:
    """Return `optMap` and `optFlatMap`: what becomes of a value that is there."""
    maybe, name = checker.part(target), expression.arguments[0]
    if not isinstance(name, Name):
        return checker.wrong(name.position, f"{expression.function}() variable name must be a simple identifier")
    if maybe.type.name != "optional_type" and maybe.type not in (DYN, WRONG):
        problem = f"found no matching overload for 'hasValue' applied to '{maybe.type}.()'"
        return checker.wrong(expression.position, problem)
    before = dict(checker.variables)
    checker.variables[name.name] = maybe.type.params[0] if maybe.type.params else maybe.type
    body = checker.part(expression.arguments[1])
    checker.variables = before
    variable, is_flat = name.name, expression.function == "optFlatMap"
    if is_flat and body.type.name != "optional_type" and body.type not in (DYN, WRONG):
        given = f"(bool, {body.type}, optional_type(dyn))"
        return checker.wrong(expression.position, f"found no matching overload for '_?_:_' applied to '{given}'")

    def run(frame: Frame) -> Maybe:
        found = maybe.run(frame)
        if not isinstance(found, Maybe):
            raise EvaluationError(NO_OVERLOAD)
        if not found.is_there:
            return ABSENT
        inner = Frame({**frame.names, variable: found.value}, frame.budget)
        value = body.run(inner)
        if is_flat and isinstance(value, Maybe):
            return value
        return Maybe(is_there=True, value=value)

    return Part(body.type if is_flat else types.optional_of(body.type), run)


def _fallback(checker: Checker, expression: Call, target: Expression) -> Part:
    return checker.fallback(expression, target)


MACROS: Macros = {
    ("all", 2): _quantifier(1),
    ("all", 3): _quantifier(2),
    ("exists", 2): _quantifier(1),
    ("exists", 3): _quantifier(2),
    ("exists_one", 2): _one(1),
    ("exists_one", 3): _one(2),
    ("existsOne", 3): _one(2),
    ("map", 2): _mapped(1, is_chosen=False),
    ("map", 3): _mapped(1, is_chosen=True),
    ("filter", 2): _filter,
    ("transformList", 3): _mapped(2, is_chosen=False),
    ("transformList", 4): _mapped(2, is_chosen=True),
    ("transformMap", 3): _transformed(is_chosen=False),
    ("transformMap", 4): _transformed(is_chosen=True),
    ("sortBy", 2): _sort_by,
    ("optMap", 2): _in_optional,
    ("optFlatMap", 2): _in_optional,
    ("or", 1): _fallback,
    ("orValue", 1): _fallback,
}
"""By name and number of arguments, the target not counted."""
