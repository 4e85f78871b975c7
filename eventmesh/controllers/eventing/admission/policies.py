"""Rules of EventPolicy (knative/eventing: pkg/apis/eventing/v1alpha1).

It speaks of identities, and without authentication senders have none: a policy that is stored and not enforced would
be worse than none, so it is refused then, in the words of Knative's webhook.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.filters import compile_trigger_filter
from eventmesh.controllers.eventing.admission.fields import INVALID, MISSING
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.event_policies import ANY_SUFFIX
from eventmesh.kube.selectors import LabelSelector


class EventPolicyAdmission:
    """Admits EventPolicies while senders have identities; one that is there may always be changed beside its spec."""

    def __init__(self, authentication: Callable[[], bool] = lambda: False) -> None:
        """`authentication` tells whether senders have identities now."""
        self._authentication = authentication

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the policy with the namespace of references in `from` filled in."""
        spec = obj.get("spec") or {}
        namespace = obj["metadata"].get("namespace") or ""
        origins = [_in_namespace(origin, namespace) for origin in spec.get("from") or ()]
        return {**obj, "spec": {**spec, "from": origins} if origins else spec}

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: authentication is off, a target or an origin that is none, a bad filter."""
        if request.old is not None and request.old.get("spec") == obj.get("spec"):
            return []
        if not self._authentication():
            return [FieldError("oidc-authentication feature not enabled", "")]
        spec = obj.get("spec") or {}
        errors = [e for at, target in enumerate(spec.get("to") or ()) for e in _target_errors(target, f"spec.to[{at}]")]
        for at, origin in enumerate(spec.get("from") or ()):
            errors += _origin_errors(origin, f"spec.from[{at}]")
        try:
            compile_trigger_filter({"filters": spec.get("filters")})
        except ConfigError as error:
            errors.append(FieldError(error.problem, error.path))
        return errors


def _in_namespace(origin: Any, namespace: str) -> Any:
    reference = origin.get("ref") if isinstance(origin, dict) else None
    if not isinstance(reference, dict) or reference.get("namespace"):
        return origin
    return {**origin, "ref": {**reference, "namespace": namespace}}


def _target_errors(target: Object, path: str) -> list[FieldError]:
    reference, selector = target.get("ref"), target.get("selector")
    if bool(reference) == bool(selector):
        got = "both" if reference else "neither"
        return [FieldError(f"expected exactly one, got {got}", f"{path}.ref, {path}.selector")]
    if reference:
        errors = _absent(reference, f"{path}.ref", ("apiVersion", "kind", "name"))
        if reference.get("namespace"):
            # A policy speaks of its own namespace only.
            errors.append(FieldError("must not set the field(s)", f"{path}.ref.namespace"))
        return errors
    errors = _absent(selector or {}, f"{path}.selector", ("apiVersion", "kind"))
    try:
        LabelSelector.of(selector)
    except (KeyError, ValueError, TypeError, AttributeError):
        errors.append(FieldError(f"{INVALID}: no label selector", f"{path}.selector"))
    return errors


def _origin_errors(origin: Object, path: str) -> list[FieldError]:
    reference, subject = origin.get("ref"), origin.get("sub")
    if bool(reference) == bool(subject):
        got = "both" if reference else "neither"
        return [FieldError(f"expected exactly one, got {got}", f"{path}.ref, {path}.sub")]
    if reference:
        return _absent(reference, f"{path}.ref", ("apiVersion", "kind", "name", "namespace"))
    if ANY_SUFFIX in str(subject)[:-1]:
        return [FieldError(f"{INVALID}: {subject}", f"{path}.sub", '"*" is only allowed at the end')]
    return []


def _absent(named: Object, path: str, fields: tuple[str, ...]) -> list[FieldError]:
    absent = [f"{path}.{field}" for field in fields if not named.get(field)]
    return [FieldError(MISSING, ", ".join(absent))] if absent else []
