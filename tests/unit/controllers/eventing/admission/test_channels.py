"""Defaults and rules of Channel, InMemoryChannel and Subscription."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.controllers.eventing.admission.channels import (
    SCOPE_ANNOTATION,
    ChannelAdmission,
    InMemoryChannelAdmission,
    SubscriptionAdmission,
)
from eventmesh.kube.admission import AdmissionRequest

CREATE = AdmissionRequest("ada")
CONTROLLER = "system:serviceaccount:knative-eventing:eventing-controller"
REFERENCE = {"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "orders"}
KSERVICE = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}
TEMPLATE = {"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel"}


def made(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "orders", "namespace": "shop"}, "spec": spec}


def subscription(**spec: Any) -> dict[str, Any]:
    return made(**{"channel": REFERENCE, "subscriber": {"ref": KSERVICE}, **spec})


def test_a_channel_is_in_memory_unless_it_says_otherwise() -> None:
    bare = {"metadata": {"name": "orders", "namespace": "shop"}}
    channel = ChannelAdmission().default(bare, CREATE)
    assert channel["spec"]["channelTemplate"] == TEMPLATE
    assert channel["metadata"]["annotations"] == {"messaging.knative.dev/subscribable": "v1"}
    other = {"apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel"}
    assert ChannelAdmission().default(made(channelTemplate=other), CREATE)["spec"]["channelTemplate"] == other
    assert "channelTemplate" not in InMemoryChannelAdmission().default(bare, CREATE)["spec"]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"channelTemplate": {"kind": "InMemoryChannel"}}, "spec.channelTemplate.apiVersion"),
        ({"channelTemplate": {"apiVersion": "messaging.knative.dev/v1"}}, "spec.channelTemplate.kind"),
        ({"channelTemplate": TEMPLATE, "subscribers": [{"uid": "1"}]}, "spec.subscribable.subscribers"),
        ({"channelTemplate": TEMPLATE, "delivery": {"retry": -1}}, "spec.delivery.retry"),
    ],
)
def test_a_channel_that_cannot_work_is_refused_by_its_field(spec: dict[str, Any], path: str) -> None:
    assert [error.path for error in ChannelAdmission().validate(made(**spec), CREATE)] == [path]


def test_the_spec_of_a_channel_stays() -> None:
    old, new = made(channelTemplate=TEMPLATE), made(channelTemplate=TEMPLATE, delivery={"retry": 1})
    (error,) = ChannelAdmission().validate(new, AdmissionRequest("ada", old))
    assert (error.path, error.message) == ("spec", "Immutable fields changed (-old +new)")
    assert ChannelAdmission().validate(old, AdmissionRequest("ada", old)) == []


def test_only_controllers_change_the_subscribers_of_a_channel() -> None:
    old, new = made(), made(subscribers=[{"uid": "1", "subscriberUri": "http://x/"}])
    (error,) = InMemoryChannelAdmission().validate(new, AdmissionRequest("ada", old))
    assert error.path == "spec.subscribers" and "changed by user ada" in error.message
    assert InMemoryChannelAdmission().validate(new, AdmissionRequest(CONTROLLER, old)) == []


def test_a_subscriber_that_leads_nowhere_and_an_unknown_scope_are_refused() -> None:
    channel = made(subscribers=[{"uid": "1"}])
    channel["metadata"]["annotations"] = {SCOPE_ANNOTATION: "planet"}
    scope, subscriber = InMemoryChannelAdmission().validate(channel, CREATE)
    assert "expected either 'cluster' or 'namespace'" in str(scope)
    assert subscriber.path == "spec.subscribable.subscriber[0].replyURI, spec.subscribable.subscriber[0].subscriberURI"


def test_a_subscription_gets_the_namespaces_of_its_references() -> None:
    letters = {"deadLetterSink": {"ref": KSERVICE}}
    written = subscription(reply={"ref": REFERENCE}, delivery=letters)
    spec = SubscriptionAdmission().default(written, CREATE)["spec"]
    found = (spec["subscriber"], spec["reply"], spec["delivery"]["deadLetterSink"])
    assert {destination["ref"]["namespace"] for destination in found} == {"shop"}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"channel": None}, "spec.channel"),
        ({"channel": {}}, "spec.channel"),
        ({"channel": {"kind": "Channel"}}, "spec.channel.apiVersion, spec.channel.name"),
        ({"channel": {**REFERENCE, "namespace": "other"}}, "spec.channel.namespace"),
        ({"subscriber": None}, "spec.subscriber"),
        ({"subscriber": {"uri": "relative"}}, "spec.subscriber.uri"),
        ({"reply": {"ref": {"kind": "Channel"}}}, "spec.reply.ref.apiVersion, spec.reply.ref.name"),
        ({"delivery": {"backoffDelay": "2s"}}, "spec.delivery.backoffDelay"),
    ],
)
def test_a_subscription_that_cannot_work_is_refused_by_its_field(spec: dict[str, Any], path: str) -> None:
    assert [error.path for error in SubscriptionAdmission().validate(subscription(**spec), CREATE)] == [path]


def test_only_the_channel_of_a_subscription_stays() -> None:
    moved = subscription(channel={**REFERENCE, "name": "bills"})
    (error,) = SubscriptionAdmission().validate(moved, AdmissionRequest("ada", subscription()))
    assert error.path == "spec"
    changed = subscription(subscriber={"uri": "http://elsewhere/"}, delivery={"retry": 2})
    assert SubscriptionAdmission().validate(changed, AdmissionRequest("ada", subscription())) == []
