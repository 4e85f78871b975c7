"""Runs the rules of a CRD on what is written: at create, update, patch and status, within a budget.

The order and the words are those of `apiextensions-apiserver/pkg/apiserver/schema/cel`. How rules come to be is told
by `rules`.
"""

from __future__ import annotations

from typing import Any, Final

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.cel.program import Frame
from eventmesh.cluster.api.cel.values import (
    ABSENT,
    NO_OVERLOAD,
    Budget,
    CostExceededError,
    EvaluationError,
    MapList,
    Maybe,
)
from eventmesh.cluster.api.errors import UNSHOWN, Cause, CauseType
from eventmesh.cluster.api.field_paths import join, key
from eventmesh.cluster.api.rules import Rule, Ruled
from eventmesh.cluster.api.validating import MAX_CAUSES, NOWHERE

MAX_COST: Final = 500_000
"""Steps that the rules of one write may take together: about 0.6 s, in which nobody else is answered.
Upstream, faster and on many cores, allows twenty times as many."""
MAX_MESSAGE_BYTES: Final = 5 * 1024
"""The API server's own limit of what a messageExpression may say."""
_BLOCKING: Final = frozenset(
    {CauseType.NOT_SUPPORTED, CauseType.REQUIRED, CauseType.TOO_LONG, CauseType.TOO_MANY, CauseType.TYPE_INVALID}
)
"""What of an object must be mended before its rules can be run."""
UNCHECKED: Final = Cause(
    CauseType.INVALID,
    NOWHERE,
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation",
)


@frozen
class Findings:
    """What a write breaks, and what it leaves broken as it was: told, and let through."""

    causes: tuple[Cause, ...] = ()
    warnings: tuple[str, ...] = ()


def are_blocked(causes: list[Cause]) -> bool:
    """Return whether an object with these faults cannot be held against rules."""
    return any(cause.type in _BLOCKING for cause in causes)


def broken(ruled: Ruled, obj: Any, old: Any | None) -> Findings:
    """Return the rules that `obj` breaks; `old` is what it replaces. A rule that it breaks unchanged is a warning."""
    run = _Run()
    run.walk(ruled, obj, old, "", (obj, old) if old is not None else None)
    return Findings(tuple(run.causes), tuple(run.warnings))


class _EnoughError(Exception):
    """No further rules are run."""


class _Run:
    """One write: what its rules have found, and what they may still cost."""

    def __init__(self) -> None:
        self.causes: list[Cause] = []
        self.warnings: list[str] = []
        self._budget = Budget(MAX_COST)

    def walk(self, ruled: Ruled, value: Any, old: Any, path: str, known: tuple[Any, Any] | None) -> None:
        """Run the rules of a value and of what is in it; `known` is the nearest value that was there before."""
        try:
            self._walk(ruled, value, old, path, known)
        except _EnoughError:
            return

    def _walk(self, ruled: Ruled, value: Any, old: Any, path: str, known: tuple[Any, Any] | None) -> None:
        if value is None:
            return
        self._judge(ruled, value, old, path, known)
        for choice in ruled.all_of:
            self._walk(choice, value, old, path, known)
        if isinstance(value, list) and ruled.items is not None:
            self._walk_items(ruled, ruled.items, value, old, path, known)
        elif isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for name, item in value.items():
                below = ruled.properties.get(name)
                where = join(path, name)
                if below is None and ruled.additional is not None:
                    below, where = ruled.additional, key(path, name)
                if below is not None:
                    was = before.get(name)
                    self._walk(below, item, was, where, (item, was) if was is not None and known else known)

    def _walk_items(
        self, ruled: Ruled, below: Ruled, value: list[Any], old: Any, path: str, known: tuple[Any, Any] | None
    ) -> None:
        before: dict[str, Any] = {}
        if ruled.keys is not None and isinstance(old, list):
            keyed = MapList(old, ruled.keys)
            before = {repr(keyed.key_of(item)): item for item in old}
        for number, item in enumerate(value):
            was = before.get(repr(MapList([], ruled.keys or ()).key_of(item))) if before else None
            nearest = (item, was) if was is not None and known else known
            self._walk(below, item, was, f"{path or NOWHERE}[{number}]", nearest)

    def _judge(self, ruled: Ruled, value: Any, old: Any, path: str, known: tuple[Any, Any] | None) -> None:
        if not ruled.rules:
            return
        try:
            seen = ruled.read(value) if ruled.read else value
            seen_before = ruled.read(old) if ruled.read and old is not None else old
        except EvaluationError as error:
            self._refuse(ruled, path, f"{error} evaluating rule: {ruled.rules[0].spelt}")
            return
        for rule in ruled.rules:
            if rule.is_transition and old is None and not rule.is_old_optional:
                continue
            self._hold(ruled, rule, {"self": seen, "oldSelf": _before(rule, seen_before)}, value, path, known)

    def _hold(
        self, ruled: Ruled, rule: Rule, names: dict[str, Any], value: Any, path: str, known: tuple[Any, Any] | None
    ) -> None:
        try:
            if rule.program.run(Frame(dict(names), self._budget)) is True:
                return
        except EvaluationError as error:
            self._refuse(ruled, path, _without_value(error, rule))
            return
        except CostExceededError:
            detail = (
                f"no further validation rules will be run: the rules of one object may take {MAX_COST} steps together, "
                f"and they were used up at rule: {rule.spelt}"
            )
            self._refuse(ruled, path, detail)
            raise _EnoughError from None
        where = join(path, rule.field_path) if rule.field_path else path
        shown = UNSHOWN if ruled.shown_type in ("object", "array") else value
        cause = Cause(rule.reason, where or NOWHERE, self._detail(rule, names), shown)
        if not rule.is_transition and known is not None and known[0] == known[1]:
            self.warnings.append(str(cause))
        else:
            self.causes.append(cause)
        self._end_if_enough()

    def _refuse(self, ruled: Ruled, path: str, detail: str) -> None:
        self.causes.append(Cause(CauseType.INVALID, path or NOWHERE, detail, ruled.shown_type))
        self._end_if_enough()

    def _end_if_enough(self) -> None:
        # As of a schema: a huge wrong list must not make a huge answer.
        if len(self.causes) + len(self.warnings) >= MAX_CAUSES:
            raise _EnoughError

    def _detail(self, rule: Rule, names: dict[str, Any]) -> str:
        """Return why the rule is broken: in the words of its messageExpression, if that has usable ones."""
        if rule.message_program is not None:
            try:
                said = rule.message_program.run(Frame(dict(names), self._budget))
            except (EvaluationError, CostExceededError):
                said = ""
            said = said.strip() if isinstance(said, str) else ""
            if said and "\n" not in said and len(said.encode(errors="replace")) <= MAX_MESSAGE_BYTES:
                return said
        return rule.message.strip() or f"failed rule: {rule.spelt}"


def _before(rule: Rule, old: Any) -> Any:
    if not rule.is_old_optional:
        return old
    return ABSENT if old is None else Maybe(is_there=True, value=old)


def _without_value(error: EvaluationError, rule: Rule) -> str:
    if str(error).startswith(NO_OVERLOAD):
        problem = "call arguments did not match a supported operator, function or macro signature for rule"
        return f"'{error}': {problem}: {rule.spelt}"
    return f"{error} evaluating rule: {rule.spelt}"
