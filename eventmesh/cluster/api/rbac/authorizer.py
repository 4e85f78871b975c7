"""Decides: whether somebody may do what they ask for, and whether they may give others a right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api import errors
from eventmesh.cluster.api.errors import quoted
from eventmesh.cluster.api.identity import MASTERS, Identity
from eventmesh.cluster.api.rbac.attributes import Attributes, OnResource
from eventmesh.cluster.api.rbac.bindings import Bindings
from eventmesh.cluster.api.rbac.policy import MAX_PARTS, PolicyRule, compacted, quoted_list, uncovered


@frozen
class Decision:
    """Whether somebody may, and why."""

    allowed: bool
    reason: str = ""


_MASTER: Final = Decision(allowed=True)


class Authorizer:
    """Judges by the bindings as they are now; costs what the rules of the one who asks cost."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings

    def decide(self, user: Identity, wanted: Attributes) -> Decision:
        """Return whether `user` may."""
        if MASTERS in user.groups:
            return _MASTER
        problems: dict[str, None] = {}
        for grant in self._bindings.grants(user, wanted.namespace if isinstance(wanted, OnResource) else ""):
            rules = self._bindings.rules(grant.ref, grant.namespace)
            if rules is None:
                problems[grant.ref.missing] = None
            elif any(rule.allows(wanted) for rule in rules):
                return Decision(allowed=True, reason=f"RBAC: allowed by {grant.reason}")
        return Decision(allowed=False, reason=f"RBAC: {_aggregated(list(problems))}" if problems else "")

    def require(self, user: Identity, wanted: Attributes) -> None:
        """Raise ApiError Forbidden unless `user` may."""
        decision = self.decide(user, wanted)
        if decision.allowed:
            return
        why = f"User {quoted(user.name)} cannot {wanted}"
        if decision.reason:
            why = f"{why}: {decision.reason}"
        if isinstance(wanted, OnResource):
            raise errors.not_allowed(wanted.group, wanted.resource, wanted.name, why)
        raise errors.not_allowed("", "", "", why)

    def rules_of(self, user: Identity, namespace: str) -> tuple[list[PolicyRule], list[str]]:
        """Return all rules of `user` in `namespace`, and what could not be found out."""
        return self._bindings.rules_of(user, namespace)

    def withheld(self, user: Identity, namespace: str, granted: Sequence[PolicyRule]) -> str:
        """Return why `user` may not give `granted` to others: it has more than they hold. Empty: they may."""
        if MASTERS in user.groups:
            return ""
        if sum(rule.count() for rule in granted) > MAX_PARTS:
            return f"the rules are more than {MAX_PARTS} single rights, and too many to compare with what is held"
        held, problems = self.rules_of(user, namespace)
        missing = uncovered(held, granted)
        if not missing:
            return ""
        listed = "\n".join(sorted({str(rule) for rule in compacted(missing)}))
        why = (
            f"user {quoted(user.name)} (groups={quoted_list(user.groups)}) is attempting to grant RBAC permissions "
            f"not currently held:\n{listed}"
        )
        return f"{why}; resolution errors: [{_aggregated(problems)}]" if problems else why


def _aggregated(problems: list[str]) -> str:
    return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
