"""Conditions and status writes, by the rules of `knative.dev/pkg/apis` condition sets.

A reconcile starts from the stored conditions, marks what it learnt, and writes the outcome once, as an
update of the `status` subresource, only when something changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from eventmesh.base.clock import rfc3339
from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Api, Object, Resource

TRUE = "True"
FALSE = "False"
UNKNOWN = "Unknown"

CONTAINERS_SILENT = "ContainersSilent"
"""Reason of a pod that is not ready since its function does not answer; the message says where it listens instead."""


@frozen
class ConditionSet:
    """The conditions of a kind: `happy` sums up `dependents`; all others only inform."""

    dependents: tuple[str, ...]
    happy: str = "Ready"


class Conditions:
    """The conditions of one object during one reconcile."""

    def __init__(self, kinds: ConditionSet, stored: Sequence[Object], now: datetime) -> None:
        self._kinds = kinds
        self._now = rfc3339(now)
        self._conditions: dict[str, Object] = {condition["type"]: condition for condition in stored}
        for kind in kinds.dependents:
            if kind not in self._conditions:
                self.mark(kind, UNKNOWN)

    def mark(self, kind: str, status: str, reason: str = "", message: str = "") -> None:
        """Set a condition; `lastTransitionTime` stays while nothing changes."""
        condition: Object = {"type": kind, "status": status}
        if reason:
            condition["reason"] = reason
        if message:
            condition["message"] = message
        if kind != self._kinds.happy and kind not in self._kinds.dependents:
            # Knative marks what does not decide readiness, so that clients do not count it as a failure.
            condition["severity"] = "Info"
        known = self._conditions.get(kind)
        if known is None or {**known, "lastTransitionTime": None} != {**condition, "lastTransitionTime": None}:
            condition["lastTransitionTime"] = self._now
            self._conditions[kind] = condition

    def mark_true(self, kind: str, reason: str = "", message: str = "") -> None:
        """Say that `kind` holds."""
        self.mark(kind, TRUE, reason, message)

    def mark_false(self, kind: str, reason: str, message: str) -> None:
        """Say that `kind` does not hold and will not without a change by somebody."""
        self.mark(kind, FALSE, reason, message)

    def mark_unknown(self, kind: str, reason: str = "", message: str = "") -> None:
        """Say that it is not yet known whether `kind` holds."""
        self.mark(kind, UNKNOWN, reason, message)

    def remove(self, kind: str) -> None:
        """Drop a condition that only informs."""
        self._conditions.pop(kind, None)

    def get(self, kind: str) -> Object | None:
        """Return the condition as it stands, or None."""
        return self._conditions.get(kind)

    def is_true(self, kind: str) -> bool:
        """Return whether `kind` is known to hold."""
        condition = self._conditions.get(kind)
        return condition is not None and condition["status"] == TRUE

    def is_false(self, kind: str) -> bool:
        """Return whether `kind` is known not to hold."""
        condition = self._conditions.get(kind)
        return condition is not None and condition["status"] == FALSE

    def result(self) -> list[Object]:
        """Return all conditions, the happy one summed up, sorted by type as Knative stores them."""
        unhappy = self._unhappy_dependent()
        if unhappy is None:
            self.mark(self._kinds.happy, TRUE)
        else:
            self.mark(self._kinds.happy, unhappy["status"], unhappy.get("reason", ""), unhappy.get("message", ""))
        return [self._conditions[kind] for kind in sorted(self._conditions)]

    def _unhappy_dependent(self) -> Object | None:
        dependents = [self._conditions[kind] for kind in self._kinds.dependents]
        # The latest change explains best; what failed explains better than what is not yet known.
        dependents.sort(key=lambda condition: condition["lastTransitionTime"], reverse=True)
        for status in (FALSE, UNKNOWN):
            for condition in dependents:
                if condition["status"] == status:
                    return condition
        return None


def conditions_of(obj: Object) -> list[Object]:
    """Return the stored conditions, to read; empty when there are none."""
    return (obj.get("status") or {}).get("conditions") or []


def condition(obj: Object, kind: str) -> Object | None:
    """Return the stored condition of that type, or None."""
    return next((entry for entry in conditions_of(obj) if entry["type"] == kind), None)


def is_ready(obj: Object, kind: str = "Ready") -> bool:
    """Return whether the object is Ready *for the generation its author wrote last*."""
    found = condition(obj, kind)
    status = obj.get("status") or {}
    current = status.get("observedGeneration") == obj["metadata"].get("generation")
    return current and found is not None and found["status"] == TRUE


async def write_status(api: Api, resource: Resource, obj: Object, status: Object) -> Object:
    """Store `status` for `obj` with its generation observed; return the object as stored.

    Nothing is written when nothing changed. Raises ApiError Conflict when `obj` is stale: the reconcile
    is then tried again from a fresh cache.
    """
    wanted = {**status, "observedGeneration": obj["metadata"].get("generation", 0)}
    if obj.get("status") == wanted:
        return obj
    return await api.replace(resource, {**obj, "status": wanted}, subresource="status")
