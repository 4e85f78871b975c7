"""Why an expression is true or not: the sub-expressions that decided, with their places.

For people, not for the path of events: an expression is parsed and evaluated piece by piece. The value of each piece
is that of the same closures that filter events.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import lark

from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.cesql.errors import EvaluationError
from eventmesh.cloudevents.cesql.expression import Expression, Result, compile_cesql
from eventmesh.cloudevents.cesql.functions import BUILT_IN, FunctionTable
from eventmesh.cloudevents.cesql.parser import grammar, term_of
from eventmesh.cloudevents.cesql.values import TYPE_NAMES, Value, cast, shown
from eventmesh.cloudevents.event import Event

_LITERALS = frozenset({"string", "boolean", "positive", "negative"})


@frozen
class Decision:
    """A sub-expression that made the whole what it is."""

    text: str
    line: int
    column: int
    """Of its first character, from 1."""
    reason: str


@frozen
class Explanation:
    """What an expression is for an event, and why."""

    passes: bool
    decisions: tuple[Decision, ...]


def explain(text: str, event: Event, functions: FunctionTable = BUILT_IN) -> Explanation:
    """Return why the expression lets `event` pass, or not; raises CesqlError as `compile_cesql` does."""
    whole = compile_cesql(text, functions)
    explainer = _Explainer(text, event, functions)
    return Explanation(whole.passes(event), tuple(explainer.decisions(_grammar().parse(text))))


@cache
def _grammar() -> lark.Lark:
    return grammar(positions=True)


Tree = lark.Tree[lark.Token]


class _Explainer:
    def __init__(self, text: str, event: Event, functions: FunctionTable) -> None:
        self._text = text
        self._event = event
        self._functions = functions

    def decisions(self, tree: Tree) -> Iterator[Decision]:
        result = self._result(tree)
        if result.errors:
            yield self._failed(tree, result.errors[0])
            return
        match tree.data:
            case "logic":
                yield from self._logic(tree, result.value)
            case "negation":
                yield from self.decisions(_below(tree)[0])
            case _:
                yield self._decision(tree, self._reason(tree, result.value))

    def _logic(self, tree: Tree, value: Value) -> Iterator[Decision]:
        names = {str(child).upper() for child in tree.children if isinstance(child, lark.Token)}
        parts = _below(tree)
        if names not in ({"AND"}, {"OR"}):
            operands = ", ".join(f"{self._excerpt(part)} is {self._told(part)}" for part in parts)
            yield self._decision(tree, f"is {shown(value)}: {operands}")
            return
        # One false part decides an AND, one true part an OR; else all of them do.
        deciding = names == {"OR"}
        if value is deciding:
            yield from self.decisions(next(part for part in parts if self._is(part, deciding)))
            return
        for part in parts:
            yield from self.decisions(part)

    def _is(self, part: Tree, wanted: bool) -> bool:
        # A part of another type is cast, as the operator does.
        result = self._result(part)
        return not result.errors and cast(result.value, bool) is wanted

    def _failed(self, tree: Tree, error: EvaluationError) -> Decision:
        """Return the deepest part in which an error is met: that is where it arises."""
        for part in _below(tree):
            found = self._result(part).errors
            # Another one's is that of a part that took no part: it was never come to.
            if found and found[0] == error:
                return self._failed(part, error)
        return self._decision(tree, f"fails ({error.kind.value}): {error.message}")

    def _reason(self, tree: Tree, value: Value) -> str:
        # Short-circuited operands (of IN) may fail by themselves: they took no part, and are not told.
        operands = [part for part in _below(tree) if part.data not in _LITERALS and not self._result(part).errors]
        told = ", ".join(f"{self._excerpt(part)} is {self._told(part)}" for part in operands)
        kind = "" if type(value) is bool else f", {_article(TYPE_NAMES[type(value)])} and no Boolean"
        return f"is {shown(value)}{kind}" + (f": {told}" if told else "")

    def _told(self, part: Tree) -> str:
        result = self._result(part)
        return result.errors[0].message if result.errors else shown(result.value)

    def _decision(self, tree: Tree, reason: str) -> Decision:
        return Decision(self._excerpt(tree), tree.meta.line, tree.meta.column, reason)

    def _excerpt(self, tree: Tree) -> str:
        return self._text[tree.meta.start_pos : tree.meta.end_pos]

    def _result(self, tree: Tree) -> Result:
        return Expression(self._excerpt(tree), term_of(tree, self._functions)).evaluate(self._event)


def _below(tree: Tree) -> list[Tree]:
    return [child for child in tree.children if isinstance(child, lark.Tree)]


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "AEIOU" else f"a {name}"
