"""What the kinds of Eventing have in common: destinations, delivery blocks, fields that stay as they are.

The words are Knative's (knative.dev/pkg: apis/field_error.go, apis/duck/v1/destination.go).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eventmesh.base.errors import ConfigError
from eventmesh.kube.admission import FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.delivery_spec import parse_delivery

IMMUTABLE = "Immutable fields changed (-old +new)"
MISSING = "missing field(s)"
INVALID = "invalid value"
DISALLOWED = "must not set the field(s)"


def default_namespace(destination: Any, namespace: str) -> None:
    """Have the reference of a destination, if there is one, name its namespace."""
    reference = destination.get("ref") if isinstance(destination, dict) else None
    if isinstance(reference, dict) and not reference.get("namespace"):
        reference["namespace"] = namespace


def default_sink(delivery: Any, namespace: str) -> None:
    """Have the dead letter sink of a delivery block name its namespace."""
    if isinstance(delivery, dict):
        default_namespace(delivery.get("deadLetterSink"), namespace)


def destination_errors(destination: Any, path: str) -> list[FieldError]:
    """Return what is wrong with a destination that must be there."""
    if not isinstance(destination, dict) or not (destination.get("ref") or destination.get("uri")):
        return [FieldError("expected at least one, got none", f"{path}.ref, {path}.uri")]
    reference, uri = destination.get("ref"), destination.get("uri")
    if reference is None:
        absolute = isinstance(uri, str) and uri.startswith(("http://", "https://"))
        return (
            []
            if absolute
            else [
                FieldError("Relative URI is not allowed when Ref and [apiVersion, kind, name] is absent", f"{path}.uri")
            ]
        )
    if isinstance(uri, str) and "://" in uri:
        return [
            FieldError("Absolute URI is not allowed when Ref or [apiVersion, kind, name] is present", f"{path}.uri")
        ]
    return reference_errors(reference, f"{path}.ref")


def reference_errors(reference: Mapping[str, Any], path: str) -> list[FieldError]:
    """Return which of the fields that name an object are absent."""
    absent = [name for name in ("apiVersion", "kind", "name") if not reference.get(name)]
    return [FieldError(MISSING, ", ".join(f"{path}.{name}" for name in absent))] if absent else []


def delivery_errors(spec: Mapping[str, Any], path: str = "spec") -> list[FieldError]:
    """Return what is wrong with the delivery block of what stands at `path`, if it has one."""
    delivery = spec.get("delivery")
    if not delivery:
        return []
    errors = []
    try:
        parse_delivery(delivery, f"{path}.delivery")
    except ConfigError as error:
        errors.append(FieldError(error.problem, error.path))
    if delivery.get("deadLetterSink"):
        errors += destination_errors(delivery["deadLetterSink"], f"{path}.delivery.deadLetterSink")
    return errors


def changed(old: Any, new: Any, path: str) -> list[FieldError]:
    """Return the complaint about a field that must stay as it was created, if it did not."""
    return [] if old == new else [FieldError(IMMUTABLE, path, f"-{old}\n+{new}")]


def annotation_errors(read: Callable[[Object], object], obj: Object) -> list[FieldError]:
    """Return what `read` finds wrong with the annotations of an object."""
    try:
        read(obj)
    except ConfigError as error:
        return [FieldError(error.problem, error.path)]
    return []
