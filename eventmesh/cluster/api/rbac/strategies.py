"""The four kinds of `rbac.authorization.k8s.io`: their defaults and checks, and who may write them.

By `kubernetes/pkg/apis/rbac/validation` and `pkg/registry/rbac`: nobody gives to others, or to themselves by way of a
role of theirs, what they do not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eventmesh.cluster.api.errors import Cause, CauseType, forbidden, not_found, quoted
from eventmesh.cluster.api.identity import MASTERS, Identity
from eventmesh.cluster.api.label_selectors import selector_violations
from eventmesh.cluster.api.rbac.attributes import OnResource
from eventmesh.cluster.api.rbac.authorizer import Authorizer
from eventmesh.cluster.api.rbac.bindings import GROUP, SERVICE_ACCOUNT, USER, Bindings, RoleRef
from eventmesh.cluster.api.rbac.policy import EVERYTHING, PolicyRule
from eventmesh.cluster.api.strategy import Strategy
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import CLUSTER_ROLE, ROLE

RBAC_GROUP: Final = ROLE.group
_HOLDERS: Final = ("ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation")


class RoleStrategy(Strategy):
    """Roles and ClusterRoles."""

    def __init__(self, resource: Resource, bindings: Bindings, authorizer: Authorizer) -> None:
        self._resource = resource
        self._bindings = bindings
        self._authorizer = authorizer

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require rules that can allow something."""
        rules = obj.get("rules") or []
        causes = [cause for at, rule in enumerate(rules) for cause in self._violations(f"rules[{at}]", rule)]
        aggregation = obj.get("aggregationRule")
        if aggregation is not None and not aggregation.get("clusterRoleSelectors"):
            detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            causes.append(Cause(CauseType.REQUIRED, "aggregationRule.clusterRoleSelectors", detail))
        for at, selector in enumerate((aggregation or {}).get("clusterRoleSelectors") or ()):
            causes += selector_violations(f"aggregationRule.clusterRoleSelectors[{at}]", selector)
        return causes

    def _violations(self, path: str, rule: Object) -> Iterator[Cause]:
        urls = rule.get("nonResourceURLs") or []
        if not rule.get("verbs"):
            yield Cause(CauseType.REQUIRED, f"{path}.verbs", "verbs must contain at least one value")
        if urls:
            if self._resource.namespaced:
                detail = "namespaced rules cannot apply to non-resource URLs"
                yield Cause(CauseType.INVALID, f"{path}.nonResourceURLs", detail, urls)
            if any(rule.get(field) for field in ("apiGroups", "resources", "resourceNames")):
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                yield Cause(CauseType.INVALID, f"{path}.nonResourceURLs", detail, urls)
            return
        if not rule.get("apiGroups"):
            yield Cause(CauseType.REQUIRED, f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield Cause(CauseType.REQUIRED, f"{path}.resources", "resource rules must supply at least one resource")

    def admit_writer(self, obj: Object, old: Object | None, user: Identity) -> None:
        """Raise ApiError Forbidden when the role would allow more than `user` may, who may not `escalate` it."""
        if MASTERS in user.groups or _only_lets_go(obj, old):
            return
        name, namespace = obj["metadata"].get("name") or "", obj["metadata"].get("namespace") or ""
        named = name if old is not None else ""
        wanted = OnResource("escalate", RBAC_GROUP, self._resource.plural, namespace=namespace, name=named)
        if self._authorizer.decide(user, wanted).allowed:
            return
        if any((role or {}).get("aggregationRule") for role in (obj, old)):
            if self._authorizer.withheld(user, "", EVERYTHING):
                why = "must have cluster-admin privileges to use the aggregationRule"
                raise forbidden(self._resource, name, why)
            return
        rules = [PolicyRule.of(rule) for rule in obj.get("rules") or ()]
        if why := self._authorizer.withheld(user, namespace, rules):
            raise forbidden(self._resource, name, why)

    def stored(self, obj: Object) -> None:
        """Judge by the role from now on."""
        self._bindings.take_role(obj)

    def removed(self, obj: Object) -> None:
        """Judge without the role from now on."""
        self._bindings.drop_role(obj)


class BindingStrategy(Strategy):
    """RoleBindings and ClusterRoleBindings."""

    def __init__(self, resource: Resource, bindings: Bindings, authorizer: Authorizer) -> None:
        self._resource = resource
        self._bindings = bindings
        self._authorizer = authorizer

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Fill in the API groups."""
        reference = obj.setdefault("roleRef", {})
        reference["apiGroup"] = reference.get("apiGroup") or RBAC_GROUP
        for subject in obj.get("subjects") or ():
            if subject.get("kind") in (USER, GROUP):
                subject["apiGroup"] = subject.get("apiGroup") or RBAC_GROUP

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require subjects and a role that can be, and the role that it has been."""
        causes = list(self._reference_violations(obj["roleRef"]))
        for at, subject in enumerate(obj.get("subjects") or ()):
            causes += self._subject_violations(f"subjects[{at}]", subject)
        if old is not None and old.get("roleRef") != obj["roleRef"]:
            causes.append(Cause(CauseType.INVALID, "roleRef", "cannot change roleRef", obj["roleRef"]))
        return causes

    def _reference_violations(self, reference: Object) -> Iterator[Cause]:
        if reference["apiGroup"] != RBAC_GROUP:
            yield _not_supported("roleRef.apiGroup", reference["apiGroup"], RBAC_GROUP)
        kinds = (ROLE.kind, CLUSTER_ROLE.kind) if self._resource.namespaced else (CLUSTER_ROLE.kind,)
        if reference.get("kind") not in kinds:
            yield _not_supported("roleRef.kind", reference.get("kind") or "", *kinds)
        if not reference.get("name"):
            yield Cause(CauseType.REQUIRED, "roleRef.name")

    def _subject_violations(self, path: str, subject: Object) -> Iterator[Cause]:
        if not subject.get("name"):
            yield Cause(CauseType.REQUIRED, f"{path}.name")
        group = subject.get("apiGroup") or ""
        match subject.get("kind"):
            case "ServiceAccount":
                if group:
                    yield _not_supported(f"{path}.apiGroup", group, "")
                if not self._resource.namespaced and not subject.get("namespace"):
                    yield Cause(CauseType.REQUIRED, f"{path}.namespace")
            case "User" | "Group":
                if group != RBAC_GROUP:
                    yield _not_supported(f"{path}.apiGroup", group, RBAC_GROUP)
            case kind:
                yield _not_supported(f"{path}.kind", kind or "", GROUP, SERVICE_ACCOUNT, USER)

    def admit_writer(self, obj: Object, old: Object | None, user: Identity) -> None:
        """Raise ApiError Forbidden when the role allows more than `user` may, who may not `bind` it."""
        if MASTERS in user.groups or _only_lets_go(obj, old):
            return
        namespace, ref = obj["metadata"].get("namespace") or "", RoleRef.of(obj)
        roles = ROLE.plural if ref.kind == ROLE.kind else CLUSTER_ROLE.plural
        wanted = OnResource("bind", RBAC_GROUP, roles, namespace=namespace, name=ref.name)
        if self._authorizer.decide(user, wanted).allowed:
            return
        rules = self._bindings.rules(ref, namespace)
        if rules is None:
            raise not_found(ROLE if ref.kind == ROLE.kind else CLUSTER_ROLE, ref.name)
        if why := self._authorizer.withheld(user, namespace, rules):
            raise forbidden(self._resource, obj["metadata"].get("name") or "", why)

    def stored(self, obj: Object) -> None:
        """Judge by the binding from now on."""
        self._bindings.take_binding(obj)

    def removed(self, obj: Object) -> None:
        """Judge without the binding from now on."""
        self._bindings.drop_binding(obj)


def _only_lets_go(obj: Object, old: Object | None) -> bool:
    """Return whether a write changes nothing but who holds the object: what it allows has been granted before.

    A label is no such thing: an aggregated role may be made of what bears it.
    """
    return old is not None and _said(obj) == _said(old)


def _said(obj: Object) -> Object:
    metadata = {name: value for name, value in obj["metadata"].items() if name not in _HOLDERS}
    return {**obj, "metadata": metadata}


def _not_supported(field: str, given: str, *accepted: str) -> Cause:
    detail = f"supported values: {', '.join(map(quoted, accepted))}"
    return Cause(CauseType.NOT_SUPPORTED, field, detail, given)
