"""Defaults and rules of Broker and Trigger (knative/eventing: pkg/apis/eventing/v1, *_defaults.go, *_validation.go)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.filters import compile_trigger_filter
from eventmesh.controllers.eventing.names import BROKER_LABEL
from eventmesh.kube.admission import Admission, AdmissionRequest, FieldError
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.delivery_spec import parse_delivery
from eventmesh.kube.knative import BROKER_CLASS, CLASS_ANNOTATION
from eventmesh.kube.resources import BROKER, TRIGGER

IMMUTABLE = "Immutable fields changed (-old +new)"
MISSING = "missing field(s)"

DEFAULT_DELIVERY: Mapping[str, Any] = {"retry": 10, "backoffPolicy": "exponential", "backoffDelay": "PT0.2S"}
"""What Knative's config-br-defaults ships."""


class BrokerAdmission:
    """A Broker without a class is ours, and one without a delivery block retries as Knative's do."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the Broker with class and delivery filled in."""
        broker = copy.deepcopy(obj)
        annotations = broker["metadata"].get("annotations") or {}
        annotations.setdefault(CLASS_ANNOTATION, BROKER_CLASS)
        broker["metadata"]["annotations"] = annotations
        spec = broker.get("spec") or {}
        spec.setdefault("delivery", dict(DEFAULT_DELIVERY))
        _default_sink(spec["delivery"], broker["metadata"].get("namespace", ""))
        broker["spec"] = spec
        return broker

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: a bad delivery block, a changed class or config."""
        errors = _delivery_errors(obj["spec"])
        if request.old is not None:
            old, new = ((o["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION) for o in (request.old, obj))
            if old != new:
                errors.append(FieldError(IMMUTABLE, f"metadata.annotations[{CLASS_ANNOTATION}]", f"-{old}\n+{new}"))
            if (request.old.get("spec") or {}).get("config") != obj["spec"].get("config"):
                errors.append(FieldError(IMMUTABLE, "spec.config"))
        return errors


class TriggerAdmission:
    """A Trigger names its broker (`default` when it names none) and a subscriber."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the Trigger with broker, broker label, empty filter and the subscriber's namespace filled in."""
        trigger = copy.deepcopy(obj)
        spec = trigger.get("spec") or {}
        trigger["spec"] = spec
        spec["broker"] = spec.get("broker") or "default"
        if spec.get("filter") is None:
            spec["filter"] = {}
        labels = trigger["metadata"].get("labels") or {}
        labels[BROKER_LABEL] = spec["broker"]
        trigger["metadata"]["labels"] = labels
        namespace = trigger["metadata"].get("namespace", "")
        _default_namespace(spec.get("subscriber"), namespace)
        _default_sink(spec.get("delivery"), namespace)
        return trigger

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no subscriber, a filter that cannot be compiled, a bad delivery, a changed broker."""
        spec = obj["spec"]
        errors = [*_subscriber_errors(spec.get("subscriber"), "spec.subscriber"), *_delivery_errors(spec)]
        try:
            compile_trigger_filter(spec)
        except ConfigError as error:
            errors.append(FieldError(error.problem, error.path))
        if request.old is not None and (old := request.old["spec"].get("broker")) != spec["broker"]:
            errors.append(FieldError(IMMUTABLE, "spec.broker", f"-{old}\n+{spec['broker']}"))
        return errors


ADMISSIONS: Mapping[Resource, Admission] = {BROKER: BrokerAdmission(), TRIGGER: TriggerAdmission()}
"""What an API server registers."""


def _default_namespace(destination: Any, namespace: str) -> None:
    reference = destination.get("ref") if isinstance(destination, dict) else None
    if isinstance(reference, dict) and not reference.get("namespace"):
        reference["namespace"] = namespace


def _default_sink(delivery: Any, namespace: str) -> None:
    if isinstance(delivery, dict):
        _default_namespace(delivery.get("deadLetterSink"), namespace)


def _subscriber_errors(destination: Any, path: str) -> list[FieldError]:
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
    absent = [name for name in ("apiVersion", "kind", "name") if not reference.get(name)]
    return [FieldError(MISSING, ", ".join(f"{path}.ref.{name}" for name in absent))] if absent else []


def _delivery_errors(spec: Mapping[str, Any]) -> list[FieldError]:
    delivery = spec.get("delivery")
    if not delivery:
        return []
    errors = []
    try:
        parse_delivery(delivery, "spec.delivery")
    except ConfigError as error:
        errors.append(FieldError(error.problem, error.path))
    if delivery.get("deadLetterSink"):
        errors += _subscriber_errors(delivery["deadLetterSink"], "spec.delivery.deadLetterSink")
    return errors
