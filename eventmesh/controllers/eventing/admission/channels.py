"""Defaults and rules of Channel, InMemoryChannel and Subscription (knative/eventing: pkg/apis/messaging/v1)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from eventmesh.controllers.eventing.admission.fields import (
    DISALLOWED,
    INVALID,
    MISSING,
    annotation_errors,
    changed,
    default_namespace,
    default_sink,
    delivery_errors,
    destination_errors,
    reference_errors,
)
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.broker_annotations import subscription_controls_of
from eventmesh.kube.resources import IN_MEMORY_CHANNEL

SUBSCRIBABLE_ANNOTATION = "messaging.knative.dev/subscribable"
SCOPE_ANNOTATION = "eventing.knative.dev/scope"
SCOPES = ("cluster", "namespace")

DEFAULT_TEMPLATE: Mapping[str, str] = {"apiVersion": IN_MEMORY_CHANNEL.api_version, "kind": IN_MEMORY_CHANNEL.kind}
"""What Knative's default-ch-webhook ships."""

_CONTROLLERS = "system:serviceaccount:knative-"
"""Beginning of the names that controllers go by."""


class ChannelAdmission:
    """A Channel without a template is an InMemoryChannel."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the Channel with template, annotation and the namespaces of its references filled in."""
        channel = _subscribable(obj)
        if channel["spec"].get("channelTemplate") is None:
            channel["spec"]["channelTemplate"] = dict(DEFAULT_TEMPLATE)
        return channel

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: a template that names no kind, subscribers of its own, a changed spec."""
        spec = obj["spec"]
        absent = [name for name in ("kind", "apiVersion") if not spec["channelTemplate"].get(name)]
        errors = [FieldError(MISSING, f"spec.channelTemplate.{name}") for name in absent]
        if spec.get("subscribers"):
            errors.append(FieldError(DISALLOWED, "spec.subscribable.subscribers"))
        errors += delivery_errors(spec)
        if request.old is not None:
            errors += changed(_without(request.old["spec"], "subscribers"), _without(spec, "subscribers"), "spec")
        return errors


class InMemoryChannelAdmission:
    """The channels that are ours. Their subscribers are written by the controllers, from Subscriptions."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the channel with annotation and the namespaces of its references filled in."""
        return _subscribable(obj)

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: a bad delivery block or scope, subscribers that lead nowhere or that a user changed."""
        errors = delivery_errors(obj["spec"])
        scope = (obj["metadata"].get("annotations") or {}).get(SCOPE_ANNOTATION)
        if scope is not None and scope not in SCOPES:
            path = f"metadata.annotations[{SCOPE_ANNOTATION}]"
            errors.append(FieldError(f"{INVALID}: {scope}", path, "expected either 'cluster' or 'namespace'"))
        subscribers = obj["spec"].get("subscribers") or []
        for number, subscriber in enumerate(subscribers):
            if not (subscriber.get("subscriberUri") or subscriber.get("replyUri")):
                path = f"spec.subscribable.subscriber[{number}]"
                fields = f"{path}.replyURI, {path}.subscriberURI"
                errors.append(FieldError(MISSING, fields, "expected at least one of, got none"))
        if request.old is not None and not request.user.startswith(_CONTROLLERS):
            before = (request.old.get("spec") or {}).get("subscribers") or []
            if before != subscribers:
                problem = f"Channel.Spec.Subscribers changed by user {request.user} which was not a controller"
                errors.append(FieldError(problem, "spec.subscribers", f"-{before}\n+{subscribers}"))
        return errors


class SubscriptionAdmission:
    """A Subscription names a channel and a subscriber; only its channel must stay."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the Subscription with the namespaces of its references filled in."""
        subscription = copy.deepcopy(obj)
        spec = subscription.get("spec") or {}
        subscription["spec"] = spec
        namespace = subscription["metadata"].get("namespace", "")
        for destination in ("subscriber", "reply"):
            default_namespace(spec.get(destination), namespace)
        default_sink(spec.get("delivery"), namespace)
        return subscription

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no channel, one of another namespace, no subscriber, a changed channel."""
        spec = obj["spec"]
        errors = [] if request.old is None else changed(request.old["spec"].get("channel"), spec.get("channel"), "spec")
        if not spec.get("channel"):
            return [FieldError(MISSING, "spec.channel", "the Subscription must reference a channel")]
        errors += _channel_errors(spec["channel"], obj["metadata"].get("namespace", ""))
        if not spec.get("subscriber"):
            errors.append(FieldError(MISSING, "spec.subscriber", "the Subscription must reference a subscriber"))
        else:
            errors += destination_errors(spec["subscriber"], "spec.subscriber")
        if spec.get("reply"):
            errors += destination_errors(spec["reply"], "spec.reply")
        return errors + delivery_errors(spec) + annotation_errors(subscription_controls_of, obj)


def _subscribable(obj: Object) -> Object:
    channel = copy.deepcopy(obj)
    annotations = channel["metadata"].get("annotations") or {}
    annotations.setdefault(SUBSCRIBABLE_ANNOTATION, "v1")
    channel["metadata"]["annotations"] = annotations
    spec = channel.get("spec") or {}
    default_sink(spec.get("delivery"), channel["metadata"].get("namespace", ""))
    channel["spec"] = spec
    return channel


def _channel_errors(reference: Mapping[str, Any], namespace: str) -> list[FieldError]:
    errors = reference_errors(reference, "spec.channel")
    other = reference.get("namespace")
    if other and other != namespace:
        problem = f"parameters must be in the same namespace: a channel of {other} cannot be subscribed to here"
        errors.append(FieldError(problem, "spec.channel.namespace"))
    return errors


def _without(spec: Mapping[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != field}
