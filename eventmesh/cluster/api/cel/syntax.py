"""Expressions as trees, and the sentences about what is wrong with them, in the form of `cel-go`."""

from __future__ import annotations

from typing import Any, Final

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.cel.types import Type

MAX_ISSUES: Final = 20
"""So many are told of one expression: each shows its line again, which may be the whole expression."""

RESERVED: Final = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
"""Words that the language keeps for itself: no name of a variable."""

KEYWORDS: Final = RESERVED | {"true", "false", "null", "in"}
"""With those that mean something: no name of a field either, as it stands."""


class CompileError(Exception):
    """An expression that cannot be meant: where it is wrong, and how; the text is as Kubernetes shows it."""


@frozen
class Issue:
    """What is wrong at one place of an expression."""

    position: int
    """In characters from its beginning."""
    problem: str


def told(source: str, issues: list[Issue]) -> str:
    """Return the issues one below the other, in the order of their places, each with its line and a mark below it."""
    in_order = sorted(issues, key=lambda issue: issue.position)
    rest = [f"{len(issues) - MAX_ISSUES} more errors were truncated"] if len(issues) > MAX_ISSUES else []
    return "\n".join((*(_told(source, issue) for issue in in_order[:MAX_ISSUES]), *rest))


def _told(source: str, issue: Issue) -> str:
    before = source[: issue.position]
    line = before.count("\n")
    column = issue.position - (before.rfind("\n") + 1)
    lines = source.split("\n")
    return f"ERROR: <input>:{line + 1}:{column + 1}: {issue.problem}\n | {lines[line]}\n | {'.' * column}^"


@frozen
class Literal:
    """A value as it is written."""

    position: int
    value: Any
    type: Type


@frozen
class Name:
    """A variable, or the name of a type."""

    position: int
    name: str


@frozen
class Select:
    """`operand.field`, or with `is_optional` `operand.?field`."""

    position: int
    operand: Expression
    field: str
    is_optional: bool = False


@frozen
class Call:
    """A function, an operator or a macro; `target` is what stands before the dot."""

    position: int
    function: str
    arguments: tuple[Expression, ...]
    target: Expression | None = None


@frozen
class Items:
    """`[a, ?b]`: each item, and whether it may be absent."""

    position: int
    items: tuple[tuple[Expression, bool], ...]


@frozen
class Entries:
    """`{a: b, ?c: d}`: key, value, and whether the value may be absent."""

    position: int
    entries: tuple[tuple[Expression, Expression, bool], ...]


Expression = Literal | Name | Select | Call | Items | Entries
