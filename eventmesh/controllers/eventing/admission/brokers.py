"""Defaults and rules of Broker and Trigger (knative/eventing: pkg/apis/eventing/v1, *_defaults.go, *_validation.go)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.filters import compile_trigger_filter
from eventmesh.controllers.eventing.admission.fields import (
    IMMUTABLE,
    annotation_errors,
    changed,
    default_namespace,
    default_sink,
    delivery_errors,
    destination_errors,
    reference_errors,
)
from eventmesh.controllers.eventing.dependency import dependency_of
from eventmesh.controllers.eventing.names import BROKER_LABEL
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.broker_annotations import broker_controls_of, controls_of
from eventmesh.kube.eventing_features import CROSS_NAMESPACE
from eventmesh.kube.knative import BROKER_CLASS, CLASS_ANNOTATION
from eventmesh.kube.resources import BROKER
from eventmesh.kube.rpc_methods import rpc_method_of
from eventmesh.kube.trigger_brokers import DEFAULT_BROKER, broker_of, is_elsewhere

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
        default_sink(spec["delivery"], broker["metadata"].get("namespace", ""))
        broker["spec"] = spec
        return broker

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: a bad delivery block, a changed class or config."""
        errors = [*delivery_errors(obj["spec"]), *annotation_errors(broker_controls_of, obj)]
        if request.old is not None:
            old, new = ((o["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION) for o in (request.old, obj))
            if old != new:
                errors.append(FieldError(IMMUTABLE, f"metadata.annotations[{CLASS_ANNOTATION}]", f"-{old}\n+{new}"))
            if (request.old.get("spec") or {}).get("config") != obj["spec"].get("config"):
                errors.append(FieldError(IMMUTABLE, "spec.config"))
        return errors


def _never() -> bool:
    return False


class TriggerAdmission:
    """A Trigger names its broker (`default` when it names none) and a subscriber."""

    def __init__(self, crosses: Callable[[], bool] = _never) -> None:
        """`crosses` says whether Triggers may be of brokers of other namespaces (`cross-namespace-event-links`)."""
        self._crosses = crosses

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the Trigger with broker, broker label, empty filter and the subscriber's namespace filled in."""
        trigger = copy.deepcopy(obj)
        spec = trigger.get("spec") or {}
        trigger["spec"] = spec
        namespace = trigger["metadata"].get("namespace", "")
        if isinstance(reference := spec.get("brokerRef"), dict):
            reference["namespace"] = reference.get("namespace") or namespace
        else:
            spec["broker"] = spec.get("broker") or DEFAULT_BROKER
        if spec.get("filter") is None:
            spec["filter"] = {}
        labels = trigger["metadata"].get("labels") or {}
        labels[BROKER_LABEL] = broker_of(trigger).name
        trigger["metadata"]["labels"] = labels
        default_namespace(spec.get("subscriber"), namespace)
        default_sink(spec.get("delivery"), namespace)
        return trigger

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no subscriber, a filter that cannot be compiled, a bad delivery, a changed broker."""
        spec = obj["spec"]
        errors = [*destination_errors(spec.get("subscriber"), "spec.subscriber"), *delivery_errors(spec)]
        errors += annotation_errors(controls_of, obj) or annotation_errors(rpc_method_of, obj)
        errors += annotation_errors(dependency_of, obj)
        try:
            compile_trigger_filter(spec)
        except ConfigError as error:
            errors.append(FieldError(error.problem, error.path))
        if request.old is not None and (old := request.old["spec"].get("broker")) != (new := spec.get("broker")):
            errors.append(FieldError(IMMUTABLE, "spec.broker", f"-{old}\n+{new}"))
        return errors + self._reference_errors(obj, request)

    def _reference_errors(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        spec, path = obj["spec"], "spec.brokerRef"
        before = None if request.old is None else request.old["spec"].get("brokerRef")
        errors = [] if request.old is None else changed(before, spec.get("brokerRef"), path)
        if not (reference := spec.get("brokerRef")):
            return errors
        if spec.get("broker"):
            errors.append(FieldError("expected exactly one, got both", "spec.broker, spec.brokerRef"))
        errors += reference_errors(reference, path)
        if not errors and (reference["kind"], _group(reference)) != (BROKER.kind, BROKER.group):
            errors.append(FieldError(f"must name a {BROKER.kind} of {BROKER.group}", path))
        if errors or not is_elsewhere(obj) or "deletionTimestamp" in obj["metadata"]:
            return errors
        where = broker_of(obj)
        if not self._crosses() and before != reference:
            # What was there when it was switched off may stay, and be changed; its controller stops it.
            problem = f"a broker of {where.namespace} can be named only while {CROSS_NAMESPACE} is enabled"
            return [FieldError(problem, f"{path}.namespace")]
        if request.may("knsubscribe", BROKER, where.namespace, where.name):
            return []
        problem = f"user {request.user} is not authorized to get target resource in namespace: {where.namespace}"
        return [FieldError(problem, f"spec.{BROKER.kind}Namespace")]


def _group(reference: Mapping[str, Any]) -> str:
    return str(reference["apiVersion"]).partition("/")[0]
