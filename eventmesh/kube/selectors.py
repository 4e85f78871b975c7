"""Label and field selectors: parsed once, matched against many objects.

The grammar is that of `k8s.io/apimachinery/pkg/labels` and `.../pkg/fields`. Which fields a kind can be
selected by is the server's business (`cluster.api`), not this module's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen

MAX_SELECTOR_CHARS = 16_384
"""A selector travels in a URL, and servers commonly refuse URLs beyond 16 KiB."""


class Operator(Enum):
    """How a label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@frozen
class Requirement:
    """One clause; a selector matches when all of its clauses do."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether `labels` satisfy the clause; an absent label satisfies NotIn, as in Kubernetes."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels

    def __str__(self) -> str:
        match self.operator:
            case Operator.IN:
                return f"{self.key} in ({','.join(sorted(self.values))})"
            case Operator.NOT_IN:
                return f"{self.key} notin ({','.join(sorted(self.values))})"
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"


_SET_CLAUSE = re.compile(r"^(?P<key>[^\s=!,()]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUALITY_CLAUSE = re.compile(r"^(?P<key>[^\s=!,()]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s=!,()]*)$")
_PRESENCE_CLAUSE = re.compile(r"^(?P<not>!\s*)?(?P<key>[^\s=!,()]+)$")
_COMMA_OUTSIDE_SET = re.compile(r",(?![^(]*\))")


@frozen
class LabelSelector:
    """A conjunction of requirements; without any it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def parse(cls, text: str) -> LabelSelector:
        """Return the selector that `a=b,c!=d,e in (f,g),h,!i` spells; raises ConfigError naming the clause."""
        if len(text) > MAX_SELECTOR_CHARS:
            raise ConfigError("labelSelector", f"is longer than {MAX_SELECTOR_CHARS} characters")
        clauses = [clause.strip() for clause in _COMMA_OUTSIDE_SET.split(text)] if text.strip() else []
        return cls(tuple(_requirement(clause) for clause in clauses))

    @classmethod
    def of(cls, selector: Mapping[str, Any] | None) -> LabelSelector:
        """Return the selector of a `metav1.LabelSelector` field (`matchLabels`, `matchExpressions`)."""
        selector = selector or {}
        labels: Mapping[str, str] = selector.get("matchLabels") or {}
        clauses = [Requirement(key, Operator.IN, frozenset((value,))) for key, value in labels.items()]
        for expression in selector.get("matchExpressions") or ():
            operator = Operator(expression["operator"])
            clauses.append(Requirement(expression["key"], operator, frozenset(expression.get("values") or ())))
        return cls(tuple(clauses))

    def __str__(self) -> str:
        """Return the selector as it stands in a URL; what `parse` reads."""
        return ",".join(map(str, self.requirements))

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Return whether an object with these labels is selected."""
        labels = labels or {}
        return all(requirement.matches(labels) for requirement in self.requirements)


def _requirement(clause: str) -> Requirement:
    if found := _SET_CLAUSE.match(clause):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], Operator.IN if found["operator"] == "in" else Operator.NOT_IN, values)
    if found := _EQUALITY_CLAUSE.match(clause):
        operator = Operator.NOT_IN if found["operator"] == "!=" else Operator.IN
        return Requirement(found["key"], operator, frozenset((found["value"],)))
    if found := _PRESENCE_CLAUSE.match(clause):
        return Requirement(found["key"], Operator.DOES_NOT_EXIST if found["not"] else Operator.EXISTS)
    raise ConfigError("labelSelector", f"cannot read the clause {clause!r}; write key=value, key in (a,b), key or !key")


@frozen
class FieldClause:
    """`path=value`, or `path!=value` when `equal` is false."""

    path: str
    value: str
    equal: bool = True


@frozen
class FieldSelector:
    """A conjunction of equality clauses over fields of the object."""

    clauses: tuple[FieldClause, ...] = ()

    @classmethod
    def parse(cls, text: str) -> FieldSelector:
        """Return the selector that `metadata.name=a,status.phase!=Running` spells; raises ConfigError."""
        if len(text) > MAX_SELECTOR_CHARS:
            raise ConfigError("fieldSelector", f"is longer than {MAX_SELECTOR_CHARS} characters")
        clauses = []
        for clause in filter(None, (part.strip() for part in text.split(","))):
            path, operator, value = _split_field_clause(clause)
            clauses.append(FieldClause(path, value, operator != "!="))
        return cls(tuple(clauses))

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """Return whether `obj` is selected; an absent field counts as the empty string."""
        return all((field_text(obj, clause.path) == clause.value) == clause.equal for clause in self.clauses)


def _split_field_clause(clause: str) -> tuple[str, str, str]:
    for operator in ("!=", "==", "="):
        path, found, value = clause.partition(operator)
        if found and path:
            return path.strip(), operator, value.strip()
    raise ConfigError("fieldSelector", f"cannot read the clause {clause!r}; write path=value or path!=value")


def field_text(obj: Mapping[str, Any], path: str) -> str:
    """Return the field at the dotted `path` as text; empty when it is absent."""
    value: Any = obj
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return ""
        value = value.get(part)
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
