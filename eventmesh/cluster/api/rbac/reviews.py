"""What `authorization.k8s.io` reviews ask, checked, and what is answered (`kubernetes/pkg/apis/authorization`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eventmesh.cluster.api import errors
from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.cluster.api.identity import Identity
from eventmesh.cluster.api.rbac.attributes import Attributes, OnPath, OnResource
from eventmesh.cluster.api.rbac.authorizer import Authorizer
from eventmesh.cluster.api.rbac.policy import PolicyRule
from eventmesh.kube.api import Object, Resource

SELF: Final = "SelfSubjectAccessReview"
LOCAL: Final = "LocalSubjectAccessReview"


def access(resource: Resource, review: Object, user: Identity, authorizer: Authorizer, namespace: str) -> Object:
    """Return the status of an access review of any kind, asked by `user`; raises ApiError 422, naming the field."""
    spec = review.get("spec") or {}
    is_local = resource.kind == LOCAL
    causes = list(_violations(spec, namespace if is_local else None))
    if resource.kind != SELF:
        causes += _subject_violations(spec)
        user = _subject(spec)
    if causes:
        raise errors.invalid(resource, "", causes)
    decision = authorizer.decide(user, _wanted(spec))
    status: Object = {"allowed": decision.allowed}
    return {**status, "reason": decision.reason} if decision.reason else status


def rules(review: Object, user: Identity, authorizer: Authorizer) -> Object:
    """Return the status of a SelfSubjectRulesReview; raises ApiError 400 when it names no namespace."""
    namespace = (review.get("spec") or {}).get("namespace")
    if not namespace:
        raise errors.bad_request("no namespace on request")
    held, problems = authorizer.rules_of(user, namespace)
    status: Object = {
        "resourceRules": [_on_resources(rule) for rule in held if not rule.urls],
        "nonResourceRules": [
            {"verbs": list(rule.verbs), "nonResourceURLs": list(rule.urls)} for rule in held if rule.urls
        ],
        "incomplete": bool(problems),
    }
    return {**status, "evaluationError": ", ".join(problems)} if problems else status


def _on_resources(rule: PolicyRule) -> Object:
    shown = {"verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources, "resourceNames": rule.names}
    return {field: list(values) for field, values in shown.items() if values}


def _violations(spec: Object, namespace: str | None) -> Iterator[Cause]:
    """Yield what is wrong with what is asked for; `namespace`: in which alone it may be asked."""
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        yield Cause(CauseType.INVALID, "spec.nonResourceAttributes", detail, path)
    if resource is None and path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        yield Cause(CauseType.INVALID, "spec.resourceAttributes", detail, None)
    if namespace is None:
        return
    if path is not None:
        detail = "disallowed on this kind of request"
        yield Cause(CauseType.INVALID, "spec.nonResourceAttributes", detail, path)
    asked = (resource or {}).get("namespace") or ""
    if resource is not None and asked != namespace:
        detail = "must match metadata.namespace"
        yield Cause(CauseType.INVALID, "spec.resourceAttributes.namespace", detail, asked)


def _subject_violations(spec: Object) -> Iterator[Cause]:
    if not spec.get("user") and not spec.get("groups"):
        yield Cause(CauseType.INVALID, "spec.user", "at least one of user or group must be specified", "")


def _subject(spec: Object) -> Identity:
    extra = {name: tuple(values or ()) for name, values in (spec.get("extra") or {}).items()}
    return Identity(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", extra)


def _wanted(spec: Object) -> Attributes:
    asked = spec.get("resourceAttributes")
    if asked is None:
        path = spec["nonResourceAttributes"]
        return OnPath(path.get("verb") or "", path.get("path") or "")
    fields = ("verb", "group", "resource", "subresource", "namespace", "name")
    return OnResource(*(asked.get(field) or "" for field in fields))
