"""Defaults and rules of Broker and Trigger (knative/eventing: pkg/apis/eventing/v1, *_defaults.go, *_validation.go)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.filters import compile_trigger_filter
from eventmesh.controllers.eventing.admission.fields import (
    IMMUTABLE,
    annotation_errors,
    default_namespace,
    default_sink,
    delivery_errors,
    destination_errors,
)
from eventmesh.controllers.eventing.dependency import dependency_of
from eventmesh.controllers.eventing.names import BROKER_LABEL
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.broker_annotations import broker_controls_of, controls_of
from eventmesh.kube.knative import BROKER_CLASS, CLASS_ANNOTATION
from eventmesh.kube.rpc_methods import rpc_method_of

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
        if request.old is not None and (old := request.old["spec"].get("broker")) != spec["broker"]:
            errors.append(FieldError(IMMUTABLE, "spec.broker", f"-{old}\n+{spec['broker']}"))
        return errors
