"""Roles and bindings as they are stored now, found by whom they are for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.errors import quoted
from eventmesh.cluster.api.identity import Identity
from eventmesh.cluster.api.rbac.policy import PolicyRule
from eventmesh.cluster.store.store import Store
from eventmesh.kube.account_tokens import SUBJECT_PREFIX
from eventmesh.kube.api import Object
from eventmesh.kube.resources import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING

USER: Final = "User"
GROUP: Final = "Group"
SERVICE_ACCOUNT: Final = "ServiceAccount"

Subject = tuple[str, str]
"""USER or GROUP, and the name; a service account is the user of its name."""


@frozen
class RoleRef:
    """Which role is bound; a Role is in the namespace of its binding."""

    kind: str
    name: str

    @classmethod
    def of(cls, binding: Object) -> RoleRef:
        """Return whom a binding refers to."""
        reference = binding.get("roleRef") or {}
        return cls(reference.get("kind") or "", reference.get("name") or "")

    @property
    def missing(self) -> str:
        """Return that there is no such role, as Kubernetes' authorizer says it."""
        return f"{self.kind.lower()}.{ROLE.group} {quoted(self.name)} not found"


@frozen
class Grant:
    """A role that somebody holds, in `namespace` (empty: everywhere), and by what."""

    ref: RoleRef
    namespace: str
    reason: str
    """In the words of Kubernetes: `ClusterRoleBinding "x" of ClusterRole "y" to User "z"`."""


class Bindings:
    """Every role and binding. Told of each write as it is made, so that the next request is judged by it."""

    def __init__(self, store: Store) -> None:
        """Read what `store` has."""
        self._rules: dict[tuple[RoleRef, str], tuple[PolicyRule, ...]] = {}
        self._grants: dict[Subject, dict[str, list[Grant]]] = defaultdict(dict)
        self._subjects: dict[str, set[Subject]] = {}
        for role in (*store.list(ROLE.group_resource), *store.list(CLUSTER_ROLE.group_resource)):
            self.take_role(role)
        for binding in (*store.list(ROLE_BINDING.group_resource), *store.list(CLUSTER_ROLE_BINDING.group_resource)):
            self.take_binding(binding)

    def take_role(self, role: Object) -> None:
        """Learn what a Role or ClusterRole says."""
        self._rules[_identity(role)] = tuple(PolicyRule.of(rule) for rule in role.get("rules") or ())

    def drop_role(self, role: Object) -> None:
        """Learn that a role is gone."""
        self._rules.pop(_identity(role), None)

    def take_binding(self, binding: Object) -> None:
        """Learn whom a RoleBinding or ClusterRoleBinding binds to what."""
        self.drop_binding(binding)
        namespace, name = _place(binding)
        key, ref = f"{namespace}/{name}", RoleRef.of(binding)
        # Upstream has the name in front.
        what = f"RoleBinding {quoted(f'{name}/{namespace}')}" if namespace else f"ClusterRoleBinding {quoted(name)}"
        for given in binding.get("subjects") or ():
            subject = _subject(given, namespace)
            if subject is not None:
                reason = f"{what} of {ref.kind} {quoted(ref.name)} to {_described(given, namespace)}"
                self._grants[subject].setdefault(key, []).append(Grant(ref, namespace, reason))
                self._subjects.setdefault(key, set()).add(subject)

    def drop_binding(self, binding: Object) -> None:
        """Learn that a binding is gone."""
        key = "/".join(_place(binding))
        for subject in self._subjects.pop(key, ()):
            self._grants[subject].pop(key, None)
            if not self._grants[subject]:
                del self._grants[subject]

    def grants(self, user: Identity, namespace: str) -> Iterator[Grant]:
        """Yield what `user` holds everywhere and in `namespace` (empty: only everywhere)."""
        for subject in ((USER, user.name), *((GROUP, group) for group in user.groups)):
            for grants in self._grants.get(subject, {}).values():
                yield from (grant for grant in grants if grant.namespace in ("", namespace))

    def rules(self, ref: RoleRef, namespace: str) -> tuple[PolicyRule, ...] | None:
        """Return the rules of a role, bound in `namespace` (empty: everywhere); None: there is no such role."""
        return self._rules.get((ref, namespace if ref.kind == ROLE.kind else ""))

    def rules_of(self, user: Identity, namespace: str) -> tuple[list[PolicyRule], list[str]]:
        """Return all rules of `user` in `namespace`, and what is wrong with the bindings that are missing in them."""
        rules: list[PolicyRule] = []
        problems: list[str] = []
        for grant in self.grants(user, namespace):
            held = self.rules(grant.ref, grant.namespace)
            if held is None:
                problems.append(grant.ref.missing)
            else:
                rules.extend(held)
        return rules, list(dict.fromkeys(problems))


def _place(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace") or "", obj["metadata"]["name"]


def _identity(role: Object) -> tuple[RoleRef, str]:
    """Return how bindings refer to a role, and its namespace; a role without one is a ClusterRole."""
    namespace, name = _place(role)
    return RoleRef(ROLE.kind if namespace else CLUSTER_ROLE.kind, name), namespace


def _subject(given: Object, namespace: str) -> Subject | None:
    """Return who is meant; None: nobody, as versions that did not look at subjects may have stored it."""
    name = given.get("name")
    if not name:
        return None
    match given.get("kind"):
        case "User" | "Group" as kind:
            return kind, name
        case "ServiceAccount":
            space = given.get("namespace") or namespace
            return (USER, f"{SUBJECT_PREFIX}{space}:{name}") if space else None
        case _:
            return None


def _described(given: Object, namespace: str) -> str:
    name = given["name"]
    if given["kind"] == SERVICE_ACCOUNT:
        name = f"{name}/{given.get('namespace') or namespace}"
    return f"{given['kind']} {quoted(name)}"
