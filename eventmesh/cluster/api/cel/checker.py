"""Finds what every part of an expression is, and tells of what cannot be, in the words of `cel-go`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eventmesh.cluster.api.cel import types
from eventmesh.cluster.api.cel.fields import real_name
from eventmesh.cluster.api.cel.library import FUNCTIONS
from eventmesh.cluster.api.cel.library.times import parse_duration, parse_timestamp
from eventmesh.cluster.api.cel.program import Frame, Part, Run, boolean, call, conjunction
from eventmesh.cluster.api.cel.syntax import (
    Call,
    Entries,
    Expression,
    Issue,
    Items,
    Literal,
    Name,
    Select,
)
from eventmesh.cluster.api.cel.types import BOOL, DYN, WRONG, Type
from eventmesh.cluster.api.cel.values import ABSENT, NO_OVERLOAD, EvaluationError, Maybe, type_of
from eventmesh.cluster.api.patterns import compiled

_LITERALS: Mapping[str, Callable[[str], object]] = {
    "matches": compiled,
    "duration": parse_duration,
    "timestamp": parse_timestamp,
}
"""Functions whose argument is looked at when it is written out."""
_KEYS = frozenset({BOOL, types.INT, types.UINT, types.STRING, DYN, WRONG})
"""What the keys of a map may be. A map in the place of a key, each of twice the last, would be a type without end."""


Macro = Callable[["Checker", Call, Expression], Part]
"""Makes a part of a call that binds names, and of what it is called on."""
Macros = Mapping[tuple[str, int], Macro]
"""By name, and by how many arguments they have."""


class Checker:
    """Checks one expression; `issues` are what is wrong with it."""

    def __init__(self, variables: Mapping[str, Type], macros: Macros) -> None:
        self.variables = dict(variables)
        self._macros = macros
        self.issues: list[Issue] = []
        self.used: set[str] = set()
        self._is_mixed = False
        """Whether this is about what a format shows, which may be of several types."""

    def part(self, expression: Expression) -> Part:
        """Return what `expression` is; a part that is wrong is told of, and fits everywhere."""
        match expression:
            case Literal():
                return _constant(expression.type, expression.value)
            case Name():
                return self._name(expression)
            case Select():
                return self._select(expression)
            case Call():
                return self._call(expression)
            case Items():
                return self._items(expression)
            case Entries():
                return self._entries(expression)

    def wrong(self, position: int, problem: str) -> Part:
        """Tell of a problem, and return what stands in its place."""
        self.issues.append(Issue(position, problem))
        return _constant(WRONG, None)

    def truth(self, expression: Expression) -> Run:
        """Return what must be true or false; tell of it when it is something else."""
        part = self.part(expression)
        if not types.fits(BOOL, part.type, {}):
            self.wrong(expression.position, f"expected type 'bool' but found '{part.type}'")
        return part.run

    # -- variables and fields

    def _name(self, name: Name) -> Part:
        if name.name in self.variables:
            self.used.add(name.name)
            return _variable(self.variables[name.name], name.name)
        if name.name in types.NAMES:
            return _constant(types.type_of(types.NAMES[name.name]), types.NAMES[name.name])
        return self.wrong(name.position, f"undeclared reference to '{name.name}' (in container '')")

    def _select(self, select: Select) -> Part:
        dotted = _dotted(select)
        if dotted in types.NAMES and dotted.partition(".")[0] not in self.variables:
            return _constant(types.type_of(types.NAMES[dotted]), types.NAMES[dotted])
        operand = self.part(select.operand)
        is_optional = select.is_optional or operand.type.name == "optional_type"
        holder = operand.type.params[0] if operand.type.name == "optional_type" else operand.type
        found = self._field(holder, select.field, select.position)
        if found is None:
            return _constant(WRONG, None)
        of, key = found
        if is_optional:
            return Part(types.optional_of(of), _optional_field(operand.run, key))
        return Part(of, _field(operand.run, key))

    def _field(self, holder: Type, name: str, position: int) -> tuple[Type, str] | None:
        """Return the type of a field, and its name in the value; None when it is told that there is none."""
        if holder.fields is not None:
            if name in holder.fields:
                return holder.fields[name], real_name(name)
            self.wrong(position, f"undefined field '{name}'")
            return None
        if holder.name == "map":
            return holder.params[1], name
        if holder in (DYN, WRONG):
            return holder, name
        self.wrong(position, f"type '{holder}' does not support field selection")
        return None

    def has(self, expression: Call) -> Part:
        """Return `has(a.b)`: whether the field is there."""
        [argument] = expression.arguments
        if not isinstance(argument, Select) or argument.is_optional:
            return self.wrong(argument.position, "invalid argument to has() macro")
        operand = self.part(argument.operand)
        holder = operand.type.params[0] if operand.type.name == "optional_type" else operand.type
        found = self._field(holder, argument.field, expression.position)
        if found is None:
            return _constant(WRONG, None)
        field = _optional_field(operand.run, found[1])

        def run(frame: Frame) -> bool:
            return bool(field(frame).is_there)

        return Part(BOOL, run)

    # -- calls

    def _call(self, expression: Call) -> Part:
        match expression.function:
            case "_&&_" | "_||_" as function:
                operands = [self.truth(operand) for operand in expression.arguments]
                return Part(BOOL, conjunction(operands, decided_by=function == "_||_"))
            case "_?_:_":
                return self._choice(expression)
            case "has" if expression.target is None and len(expression.arguments) == 1:
                return self.has(expression)
            case name if expression.target is not None:
                macro = self._macros.get((name, len(expression.arguments)))
                if macro is not None:
                    return macro(self, expression, expression.target)
        return self._function(expression)

    def _function(self, expression: Call) -> Part:
        name, target = expression.function, expression.target
        dotted = f"{_dotted(target)}.{name}" if target is not None else name
        if target is not None and dotted in FUNCTIONS and dotted.partition(".")[0] not in self.variables:
            name, target = dotted, None
        before, self._is_mixed = self._is_mixed, self._is_mixed or name == "format"
        arguments = [self.part(argument) for argument in expression.arguments]
        self._is_mixed = before
        if target is not None:
            arguments.insert(0, self.part(target))
        if name not in FUNCTIONS:
            return self.wrong(expression.position, f"undeclared reference to '{name}' (in container '')")
        if any(part.type == WRONG for part in arguments):
            return _constant(WRONG, None)
        given = [part.type for part in arguments]
        candidates, results = [], []
        for overload in FUNCTIONS[name]:
            bound: dict[str, Type] = {}
            if (
                overload.is_member is (target is not None)
                and len(overload.parameters) == len(given)
                and all(types.fits(wanted, of, bound) for wanted, of in zip(overload.parameters, given, strict=True))
            ):
                candidates.append(overload)
                results.append(types.filled(overload.result, bound))
        if not candidates:
            return self._no_overload(expression.position, name, given, is_member=target is not None)
        self._look_at_literal(name, expression)
        result = results[0] if all(of == results[0] for of in results) else DYN
        return Part(result, call(candidates, [part.run for part in arguments]))

    def _no_overload(self, position: int, name: str, given: list[Type], *, is_member: bool = False) -> Part:
        listed = f"{given[0]}.({_row(given[1:])})" if is_member else f"({_row(given)})"
        return self.wrong(position, f"found no matching overload for '{name}' applied to '{listed}'")

    def _look_at_literal(self, name: str, expression: Call) -> None:
        if name not in _LITERALS or not expression.arguments:
            return
        last = expression.arguments[-1]
        if isinstance(last, Literal) and isinstance(last.value, str):
            try:
                _LITERALS[name](last.value)
            except (ValueError, EvaluationError):
                self.wrong(last.position, f"invalid {name} argument")

    def _choice(self, expression: Call) -> Part:
        condition, then, otherwise = (self.part(argument) for argument in expression.arguments)
        of = self.joined(then.type, otherwise.type)
        if of is None or not types.fits(BOOL, condition.type, {}):
            return self._no_overload(expression.position, "_?_:_", [condition.type, then.type, otherwise.type])

        def run(frame: Frame) -> Any:
            return then.run(frame) if boolean(condition.run(frame)) else otherwise.run(frame)

        return Part(of, run)

    def chosen(self, expression: Call, condition: Type, of: Type) -> bool:
        """Return whether `condition`, by which a macro chooses values of type `of`, is a truth; tell of it if not."""
        if types.fits(BOOL, condition, {}):
            return True
        self._no_overload(expression.position, "_?_:_", [condition, of, of])
        return False

    @staticmethod
    def joined(one: Type, other: Type) -> Type | None:
        """Return the type of what is of one type or the other; None when they do not go together."""
        bound: dict[str, Type] = {}
        both = types.fits(types.A, one, bound) and types.fits(types.A, other, bound)
        return bound["A"] if both else None

    def fallback(self, expression: Call, target: Expression) -> Part:
        """Return `optional.or(optional)` or `optional.orValue(value)`."""
        maybe, other = self.part(target), self.part(expression.arguments[0])
        if WRONG in (maybe.type, other.type):
            return _constant(WRONG, None)
        is_value = expression.function == "orValue"
        of = maybe.type.params[0] if maybe.type.name == "optional_type" else DYN if maybe.type == DYN else None
        wanted = other.type if is_value else other.type.params[0] if other.type.name == "optional_type" else None
        joined = self.joined(of, wanted) if of is not None and wanted is not None else None
        if joined is None:
            return self._no_overload(expression.position, expression.function, [maybe.type, other.type], is_member=True)

        def run(frame: Frame) -> Any:
            found = maybe.run(frame)
            if not isinstance(found, Maybe):
                raise EvaluationError(NO_OVERLOAD)
            if not found.is_there:
                return other.run(frame)
            return found.value if is_value else found

        return Part(joined if is_value else types.optional_of(joined), run)

    # -- literals

    def _items(self, literal: Items) -> Part:
        of: Type | None = None
        parts: list[tuple[Run, bool]] = []
        for item, is_optional in literal.items:
            part = self.part(item)
            of = self._alike(of, part.type, item.position, is_optional=is_optional)
            parts.append((part.run, is_optional))

        def run(frame: Frame) -> list[Any]:
            frame.budget.spend(len(parts))
            found: list[Any] = []
            for evaluate, is_optional in parts:
                value = evaluate(frame)
                if not is_optional:
                    found.append(value)
                elif _optional(value).is_there:
                    found.append(value.value)
            return found

        return Part(types.list_of(of or DYN), run)

    def _entries(self, literal: Entries) -> Part:
        keys: Type | None = None
        values: Type | None = None
        parts: list[tuple[Run, Run, bool]] = []
        for key, value, is_optional in literal.entries:
            key_part, value_part = self.part(key), self.part(value)
            if key_part.type not in _KEYS:
                self.wrong(key.position, f"unsupported key type: {key_part.type}")
                return _constant(WRONG, None)
            keys = self._alike(keys, key_part.type, key.position)
            values = self._alike(values, value_part.type, value.position, is_optional=is_optional)
            parts.append((key_part.run, value_part.run, is_optional))

        def run(frame: Frame) -> dict[Any, Any]:
            frame.budget.spend(len(parts))
            found: dict[Any, Any] = {}
            for key, value, is_optional in parts:
                name, given = key(frame), value(frame)
                if not isinstance(name, str | int):
                    raise EvaluationError(f"unsupported key type: {type(name).__name__}")
                if not is_optional:
                    found[name] = given
                elif _optional(given).is_there:
                    found[name] = given.value
            return found

        return Part(types.map_of(keys or DYN, values or DYN), run)

    def _alike(self, known: Type | None, given: Type, position: int, *, is_optional: bool = False) -> Type:
        """Return the type of items so far; tell of one that is not like them."""
        if is_optional and given.name == "optional_type":
            given = given.params[0]
        elif is_optional and given not in (DYN, WRONG):
            self.wrong(position, f"expected type '{types.optional_of(given)}' but found '{given}'")
        if known is None or self._is_mixed:
            return given if known in (None, given) else DYN
        joined = self.joined(known, given)
        if joined is None:
            self.wrong(position, f"expected type '{known}' but found '{given}'")
        return joined or known


def _row(given: list[Type]) -> str:
    return ", ".join(map(str, given))


def _constant(of: Type, value: Any) -> Part:
    return Part(of, lambda frame: value)


def _optional(value: Any) -> Maybe:
    if not isinstance(value, Maybe):
        raise EvaluationError(f"'?' stands before what is no optional, but a value of type {type_of(value)}")
    return value


def _variable(of: Type, name: str) -> Part:
    def run(frame: Frame) -> Any:
        return frame.names[name]

    return Part(of, run)


def _field(operand: Run, key: str) -> Run:
    def run(frame: Frame) -> Any:
        frame.budget.spend(1)
        holder = operand(frame)
        if not isinstance(holder, dict):
            raise EvaluationError(NO_OVERLOAD)
        if key not in holder:
            raise EvaluationError(f"no such key: {key}")
        return holder[key]

    return run


def _optional_field(operand: Run, key: str) -> Run:
    def run(frame: Frame) -> Maybe:
        frame.budget.spend(1)
        holder = operand(frame)
        if isinstance(holder, Maybe):
            if not holder.is_there:
                return ABSENT
            holder = holder.value
        if not isinstance(holder, dict):
            raise EvaluationError(NO_OVERLOAD)
        return Maybe(is_there=True, value=holder[key]) if key in holder else ABSENT

    return run


def _dotted(expression: Expression | None) -> str:
    """Return the name that is written with dots (`optional`, `google.protobuf.Timestamp`); empty if it is no name."""
    match expression:
        case Name():
            return expression.name
        case Select(is_optional=False):
            holder = _dotted(expression.operand)
            return f"{holder}.{expression.field}" if holder else ""
    return ""
