"""Rules in CEL (`x-kubernetes-validations`) with their CRD: checked, and compiled.

The words are those of `apiextensions-apiserver/pkg/apis/apiextensions/validation`; what differs on purpose stands in
docs/adr/0080-rules-in-cel.md. Running them on what is written is `rule_evaluation`'s.
Imported with the first CRD that has rules: without them nobody pays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, Final

from eventmesh.base import log
from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.cel import types
from eventmesh.cluster.api.cel.compiling import compile_expression
from eventmesh.cluster.api.cel.fields import Reader, as_resource, declared, reader
from eventmesh.cluster.api.cel.program import Program
from eventmesh.cluster.api.cel.syntax import CompileError
from eventmesh.cluster.api.cel.types import Type
from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.cluster.api.field_paths import field_path
from eventmesh.cluster.api.structural import Schema
from eventmesh.cluster.api.validating import MAX_CAUSES

_log = log.get("cluster.rules")

MAX_SOURCE_CHARS: Final = 200_000
"""So much may the rules of one CRD be together; checking them takes about a second. Gateway API's have up to 20,000."""
RULES: Final = "x-kubernetes-validations"
_REASONS: Final[Mapping[str, CauseType]] = {
    reason.value: reason for reason in (CauseType.REQUIRED, CauseType.INVALID, CauseType.FORBIDDEN, CauseType.DUPLICATE)
}
_SHAPES: Final[Mapping[str, type]] = {
    **dict.fromkeys(("rule", "message", "messageExpression", "reason", "fieldPath"), str),
    "optionalOldSelf": bool,
}


@frozen
class Rule:
    """One compiled rule."""

    source: str
    program: Program
    message: str
    message_program: Program | None
    reason: CauseType
    field_path: str
    is_old_optional: bool

    @property
    def is_transition(self) -> bool:
        """Return whether it speaks of the value that was stored before."""
        return "oldSelf" in self.program.uses

    @property
    def spelt(self) -> str:
        """Return how the rule is named to whoever breaks it."""
        return (self.message or self.source).strip()


@frozen
class Ruled:
    """A part of a schema that has rules, or has parts that do."""

    shown_type: str
    keys: tuple[str, ...] | None
    """Of a list whose items are told apart by keys, those; None = items are not known again."""
    read: Reader | None
    rules: tuple[Rule, ...] = ()
    properties: Mapping[str, Ruled] = field(default_factory=dict)
    items: Ruled | None = None
    additional: Ruled | None = None
    all_of: tuple[Ruled, ...] = ()


def compiled(schema: Schema) -> Ruled | None:
    """Return the rules of a CRD's schema; None when it has none.

    What `violations` finds in it is left out, and logged: an older eventmesh has stored it, and looked at no rules.
    """
    compiler = _Compiler()
    found = compiler.compiled(schema, "", None, is_resource=True)
    for cause in compiler.causes:
        _log.warning("rule is not run", reason=cause)
    return found


def violations(schema: Schema, path: str) -> list[Cause]:
    """Return what is wrong with the rules in `schema`, which stands at `path`: at most MAX_CAUSES of it."""
    compiler = _Compiler()
    compiler.compiled(schema, path, None, is_resource=True)
    return compiler.causes[:MAX_CAUSES]


class _Compiler:
    def __init__(self) -> None:
        self.causes: list[Cause] = []
        self._chars = 0

    def compiled(
        self, schema: Any, path: str, unknown_below: str | None, *, is_resource: bool = False, spine: Any = None
    ) -> Ruled | None:
        """Return the rules of `schema` and below. Items are not known again below `unknown_below`.

        `spine` is the schema that says the types, where `schema` is one of its `allOf`.
        """
        if not isinstance(schema, dict):
            return None
        typed = schema if spine is None else spine
        is_resource = is_resource or bool(typed.get("x-kubernetes-embedded-resource"))
        properties = {
            name: found
            for name, below in (schema.get("properties") or {}).items()
            if (found := self._below(below, f"{path}.properties[{name}]", unknown_below, typed, "properties", name))
        }
        is_known = typed.get("x-kubernetes-list-type") == "map"
        below_items = unknown_below or (None if is_known else path)
        items = self._below(schema.get("items"), f"{path}.items", below_items, typed, "items")
        values = schema.get("additionalProperties")
        additional = self._below(values, f"{path}.additionalProperties", unknown_below, typed, "additionalProperties")
        choices = [
            self.compiled(choice, f"{path}.allOf[{number}]", unknown_below, is_resource=is_resource, spine=typed)
            for number, choice in enumerate(schema.get("allOf") or ())
        ]
        all_of = tuple(choice for choice in choices if choice)
        rules = self._rules(schema, typed, path, unknown_below, is_resource=is_resource)
        if not (rules or properties or items or additional or all_of):
            return None
        keys = tuple(typed.get("x-kubernetes-list-map-keys") or ()) if is_known else None
        read = reader(as_resource(typed) if is_resource else typed)
        return Ruled(typed.get("type") or "", keys, read, rules, properties, items, additional, all_of)

    def _below(
        self, schema: Any, path: str, unknown_below: str | None, typed: Schema, part: str, name: str | None = None
    ) -> Ruled | None:
        spine = typed.get(part)
        if name is not None:
            spine = (spine or {}).get(name)
        if not isinstance(spine, dict) or not isinstance(schema, dict):
            return None
        return self.compiled(schema, path, unknown_below, spine=None if spine is schema else spine)

    def _rules(
        self, schema: Schema, typed: Schema, path: str, unknown_below: str | None, *, is_resource: bool
    ) -> tuple[Rule, ...]:
        written = schema.get(RULES)
        if not written:
            return ()
        where = f"{path}.{RULES}"
        shapeless = list(_misshapen(written, where))
        if shapeless:
            self.causes += shapeless
            return ()
        before = len(self.causes)
        for number, rule in enumerate(written):
            self.causes += _ill_said(rule, f"{where}[{number}]")
            self.causes += _astray(rule, typed, f"{where}[{number}]")
            self._chars += len(rule["rule"]) + len(rule.get("messageExpression") or "")
        if self._chars > MAX_SOURCE_CHARS:
            detail = f"the rules of a CRD may have {MAX_SOURCE_CHARS} characters together: shorten or drop some"
            self.causes.append(Cause(CauseType.FORBIDDEN, where, detail))
        if len(self.causes) > before:
            return ()
        of = declared(typed, "self", is_resource=is_resource)
        fault_paths = [field_path(rule.get("fieldPath") or "", typed) or "" for rule in written]
        found = [
            self._rule(rule, of, fault_path, f"{where}[{number}]", unknown_below)
            for number, (rule, fault_path) in enumerate(zip(written, fault_paths, strict=True))
        ]
        return tuple(rule for rule in found if rule)

    def _rule(
        self, rule: Schema, of: Type | None, fault_path: str, where: str, unknown_below: str | None
    ) -> Rule | None:
        if of is None:
            detail = "rules need a schema with a type, and here is none (or one that preserves unknown fields)"
            self.causes.append(Cause(CauseType.INVALID, f"{where}.rule", detail, rule["rule"]))
            return None
        is_old_optional = bool(rule.get("optionalOldSelf"))
        variables = {"self": of, "oldSelf": types.optional_of(of) if is_old_optional else of}
        program = self._program(rule["rule"], variables, f"{where}.rule", types.BOOL)
        if program is None:
            return None
        message = None
        if rule.get("messageExpression"):
            message = self._program(rule["messageExpression"], variables, f"{where}.messageExpression", types.STRING)
        if "oldSelf" in program.uses:
            if unknown_below is not None:
                detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {unknown_below}"
                self.causes.append(Cause(CauseType.INVALID, f"{where}.rule", detail, rule["rule"]))
        elif rule.get("optionalOldSelf") is not None:
            detail = "may not be set if oldSelf is not used in rule"
            self.causes.append(Cause(CauseType.INVALID, f"{where}.optionalOldSelf", detail, rule["optionalOldSelf"]))
        return Rule(
            source=rule["rule"],
            program=program,
            message=rule.get("message") or "",
            message_program=message,
            reason=_REASONS.get(rule.get("reason") or "", CauseType.INVALID),
            field_path=fault_path,
            is_old_optional=is_old_optional,
        )

    def _program(self, source: str, variables: Mapping[str, Type], where: str, wanted: Type) -> Program | None:
        of, lead = ("messageExpression", "messageExpression ") if wanted == types.STRING else ("cel expression", "")
        try:
            program = compile_expression(source, variables)
            if program.type == wanted:
                return program
            what = f"{of} must evaluate to a {wanted}"
        except CompileError as error:
            what = f"{lead}compilation failed: {error}"
        self.causes.append(Cause(CauseType.INVALID, where, what, source))
        return None


def _misshapen(written: Any, where: str) -> Iterator[Cause]:
    """Yield what is not written as rules are."""
    if not isinstance(written, list):
        yield Cause(CauseType.TYPE_INVALID, where, "must be a JSON array", written)
        return
    for number, rule in enumerate(written):
        if not isinstance(rule, dict):
            yield Cause(CauseType.TYPE_INVALID, f"{where}[{number}]", "must be a JSON object", rule)
            continue
        for name, shape in _SHAPES.items():
            if rule.get(name) is not None and not isinstance(rule[name], shape):
                kind = "string" if shape is str else "boolean"
                yield Cause(CauseType.TYPE_INVALID, f"{where}[{number}].{name}", f"must be a JSON {kind}", rule[name])
        if rule.get("rule") is None:
            yield Cause(CauseType.REQUIRED, f"{where}[{number}].rule", "rule is not specified")


def _ill_said(rule: Schema, where: str) -> Iterator[Cause]:
    source, message = rule["rule"].strip(), rule.get("message") or ""
    if not source:
        yield Cause(CauseType.REQUIRED, f"{where}.rule", "rule is not specified")
    elif message and not message.strip():
        yield Cause(CauseType.INVALID, f"{where}.message", "must be non-empty if specified", message)
    elif "\n" in message.strip():
        yield Cause(CauseType.INVALID, f"{where}.message", "must not contain line breaks", message)
    elif "\n" in source and not message:
        yield Cause(CauseType.REQUIRED, f"{where}.message", "message must be specified if rule contains line breaks")
    if rule.get("messageExpression") and not rule["messageExpression"].strip():
        yield Cause(
            CauseType.REQUIRED, f"{where}.messageExpression", "messageExpression must be non-empty if specified"
        )
    if rule.get("reason") is not None and rule["reason"] not in _REASONS:
        accepted = ", ".join(f'"{name}"' for name in sorted(_REASONS))
        yield Cause(CauseType.NOT_SUPPORTED, f"{where}.reason", f"supported values: {accepted}", rule["reason"])


def _astray(rule: Schema, typed: Schema, where: str) -> Iterator[Cause]:
    path = rule.get("fieldPath") or ""
    if not path:
        return
    if not path.strip():
        yield Cause(CauseType.INVALID, f"{where}.fieldPath", "must be non-empty if specified", path)
    if "\n" in path:
        yield Cause(CauseType.INVALID, f"{where}.fieldPath", "must not contain line breaks", path)
    if field_path(path, typed) is None:
        yield Cause(CauseType.INVALID, f"{where}.fieldPath", "must be a valid path", path)
