"""Conditions as Gateway API has them: each with the generation it speaks of, and no sum over all (metav1.Condition)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object


@frozen
class Condition:
    """One condition."""

    type: str
    status: str
    reason: str
    message: str = ""


def holds(type_: str, reason: str = "") -> Condition:
    """Return the condition that `type_` is the case; its reason is its name unless said otherwise."""
    return Condition(type_, "True", reason or type_)


def fails(type_: str, problem: tuple[str, str]) -> Condition:
    """Return the condition that `type_` is not the case, for a problem's reason and message."""
    return Condition(type_, "False", *problem)


def pending(type_: str, message: str) -> Condition:
    """Return the condition that it is not known yet."""
    return Condition(type_, "Unknown", "Pending", message)


def written(stored: Iterable[Object], wanted: Sequence[Condition], generation: int, now: str) -> list[Object]:
    """Return `wanted` as stored: a transition is a change of status, anything else leaves its time as it was."""
    before = {one["type"]: one for one in stored}
    return [
        {
            "type": one.type,
            "status": one.status,
            "reason": one.reason,
            "message": one.message,
            "observedGeneration": generation,
            "lastTransitionTime": _since(before.get(one.type), one.status, now),
        }
        for one in wanted
    ]


def _since(known: Object | None, status: str, now: str) -> str:
    if known is None or known.get("status") != status:
        return now
    since: str = known.get("lastTransitionTime", now)
    return since
