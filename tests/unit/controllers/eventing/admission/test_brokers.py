"""Defaults and rules of Broker and Trigger."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.controllers.eventing.admission.brokers import DEFAULT_DELIVERY, BrokerAdmission, TriggerAdmission
from eventmesh.controllers.eventing.dependency import Dependency, dependency_of
from eventmesh.controllers.eventing.names import BROKER_LABEL
from eventmesh.kube.admission import AdmissionRequest
from eventmesh.kube.api import Resource
from eventmesh.kube.knative import BROKER_CLASS, CLASS_ANNOTATION
from eventmesh.kube.objects import Key
from eventmesh.kube.resources import BROKER

CREATE = AdmissionRequest("ada")
KSERVICE = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}


def broker(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "b", "namespace": "ns"}, "spec": spec}


def trigger(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "t", "namespace": "ns"}, "spec": {"subscriber": {"ref": KSERVICE}, **spec}}


def test_a_broker_gets_our_class_and_knatives_delivery() -> None:
    made = BrokerAdmission().default({"metadata": {"name": "b", "namespace": "ns"}}, CREATE)
    assert made["metadata"]["annotations"] == {CLASS_ANNOTATION: BROKER_CLASS}
    assert made["spec"]["delivery"] == DEFAULT_DELIVERY


def test_what_the_author_wrote_stays() -> None:
    written = broker(delivery={"retry": 1})
    written["metadata"]["annotations"] = {CLASS_ANNOTATION: "Kafka"}
    made = BrokerAdmission().default(written, CREATE)
    assert (made["metadata"]["annotations"][CLASS_ANNOTATION], made["spec"]["delivery"]) == ("Kafka", {"retry": 1})


def test_a_trigger_gets_broker_label_filter_and_namespace() -> None:
    made = TriggerAdmission().default(trigger(), CREATE)
    assert made["spec"]["broker"] == "default"
    assert made["spec"]["filter"] == {}
    assert made["metadata"]["labels"] == {"eventing.knative.dev/broker": "default"}
    assert made["spec"]["subscriber"]["ref"]["namespace"] == "ns"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"subscriber": None}, "spec.subscriber.ref, spec.subscriber.uri"),
        ({"subscriber": {"uri": "relative"}}, "spec.subscriber.uri"),
        ({"subscriber": {"ref": KSERVICE, "uri": "http://absolute/"}}, "spec.subscriber.uri"),
        ({"subscriber": {"ref": {"kind": "Service"}}}, "spec.subscriber.ref.apiVersion, spec.subscriber.ref.name"),
        ({"filter": {"attributes": {"Type": "x"}}}, "spec.filter.attributes.Type"),
        ({"filters": [{"glob": {}}]}, "spec.filters[0].glob"),
        ({"delivery": {"retry": -1}}, "spec.delivery.retry"),
        ({"delivery": {"backoffDelay": "2s"}}, "spec.delivery.backoffDelay"),
        ({"delivery": {"backoffPolicy": "random"}}, "spec.delivery.backoffPolicy"),
        ({"delivery": {"timeout": "PT0S"}}, "spec.delivery.timeout"),
        ({"delivery": {"retries": 3}}, "spec.delivery.retries"),
        ({"delivery": {"format": "ingress"}}, "spec.delivery.format"),
        ({"delivery": {"format": "json"}}, None),
        ({"delivery": {"deadLetterSink": {}, "retry": 1}}, None),
    ],
)
def test_a_wrong_trigger_is_refused_at_its_field(spec: dict[str, Any], path: str | None) -> None:
    admission = TriggerAdmission()
    errors = admission.validate(admission.default(trigger(**spec), CREATE), CREATE)
    assert [error.path for error in errors] == ([] if path is None else [path])


ELSEWHERE = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "name": "b", "namespace": "other"}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"brokerRef": {**ELSEWHERE, "namespace": "ns"}}, None),
        ({"brokerRef": {**ELSEWHERE, "namespace": ""}}, None),
        ({"brokerRef": ELSEWHERE}, "spec.brokerRef.namespace"),
        ({"brokerRef": ELSEWHERE, "broker": "b"}, "spec.broker, spec.brokerRef"),
        ({"brokerRef": {"name": "b"}}, "spec.brokerRef.apiVersion, spec.brokerRef.kind"),
        ({"brokerRef": {**ELSEWHERE, "kind": "Channel"}}, "spec.brokerRef"),
        ({"brokerRef": {**ELSEWHERE, "apiVersion": "messaging.knative.dev/v1"}}, "spec.brokerRef"),
    ],
)
def test_a_broker_may_be_referred_to_and_elsewhere_only_when_that_is_on(spec: dict[str, Any], path: str | None) -> None:
    admission = TriggerAdmission()
    errors = admission.validate(admission.default(trigger(**spec), CREATE), CREATE)
    assert [error.path for error in errors] == ([] if path is None else [path])


def test_a_broker_elsewhere_is_for_who_may_subscribe_to_it_at_each_change() -> None:
    admission = TriggerAdmission(lambda: True)
    asked: list[tuple[str, ...]] = []

    def may(verb: str, resource: Resource, namespace: str, name: str) -> bool:
        asked.append((verb, resource.group_resource, namespace, name))
        return True

    old = admission.default(trigger(brokerRef=ELSEWHERE), CREATE)
    assert "broker" not in old["spec"] and old["metadata"]["labels"] == {BROKER_LABEL: "b"}
    assert [error.path for error in admission.validate(old, CREATE)] == ["spec.BrokerNamespace"]
    assert admission.validate(old, AdmissionRequest("ada", may=may)) == []
    assert asked == [("knsubscribe", "brokers.eventing.knative.dev", "other", "b")]
    # Switched off, it stays; whoever turns it elsewhere must still be let.
    switched_off = TriggerAdmission()
    assert [error.path for error in switched_off.validate(old, AdmissionRequest("ada", old))] == [
        "spec.BrokerNamespace"
    ]
    assert switched_off.validate(old, AdmissionRequest("ada", old, may)) == []
    leaving = {**old, "metadata": {**old["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert switched_off.validate(leaving, AdmissionRequest("ada", old)) == []
    moved = admission.default(trigger(brokerRef={**ELSEWHERE, "name": "c"}), CREATE)
    assert [error.path for error in admission.validate(moved, AdmissionRequest("ada", old, may))] == ["spec.brokerRef"]


def test_a_trigger_keeps_its_broker_and_a_broker_its_class() -> None:
    triggers, brokers = TriggerAdmission(), BrokerAdmission()
    old = triggers.default(trigger(broker="a"), CREATE)
    moved = triggers.default(trigger(broker="b"), CREATE)
    assert [error.path for error in triggers.validate(moved, AdmissionRequest("ada", old))] == ["spec.broker"]
    before = brokers.default(broker(), CREATE)
    after = brokers.default(broker(), CREATE)
    after["metadata"]["annotations"] = {CLASS_ANNOTATION: "Kafka"}
    assert len(brokers.validate(after, AdmissionRequest("ada", before))) == 1


BAD_NAMES = ("Type", "my type", "my_type", "my-type", "123", "type😀", "type!", "type.", "ty/pe", "TYPE1")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_an_attribute_that_no_event_can_have_is_refused_in_a_filter(name: str) -> None:
    admission = TriggerAdmission()
    (error,) = admission.validate(admission.default(trigger(filter={"attributes": {name: "x"}}), CREATE), CREATE)
    assert error.path == f"spec.filter.attributes.{name}"


def test_filters_stay_as_they_were_written() -> None:
    written = {"filter": {"attributes": {"abcdefghij0123456789"[:20]: "x", "type": ""}}, "filters": [{"cesql": "TRUE"}]}
    made = TriggerAdmission().default(trigger(**written), CREATE)
    assert {name: made["spec"][name] for name in written} == written
    assert TriggerAdmission().validate(made, CREATE) == []


def test_the_config_of_a_broker_stays() -> None:
    admission = BrokerAdmission()
    before, after = (admission.default(broker(config={"name": name}), CREATE) for name in ("a", "b"))
    assert [error.path for error in admission.validate(after, AdmissionRequest("ada", before))] == ["spec.config"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("orders", "is not a JSON object"),
        ('["orders"]', "is not a JSON object"),
        ('{"kind": "PingSource", "apiVersion": "sources.knative.dev/v1"}', "lacks name"),
        ('{"kind": "PingSource", "apiVersion": "sources.knative.dev/v1", "name": ""}', "lacks name"),
        ("[" * 50_000, "is not a JSON object"),
        ('{"kind": "Pod", "apiVersion": "v1", "name": "p"}', "Pod of v1 cannot be waited for; known are PingSource"),
        (
            '{"kind": "Broker", "apiVersion": "eventing.knative.dev/v1", "name": "b", "namespace": "other"}',
            "names the namespace 'other', and not that of the Trigger",
        ),
    ],
)
def test_a_dependency_that_cannot_be_waited_for_is_refused(text: str, problem: str) -> None:
    written = TriggerAdmission().default(trigger(), CREATE)
    written["metadata"]["annotations"] = {"knative.dev/dependency": text}
    (error,) = TriggerAdmission().validate(written, CREATE)
    assert error.path == "metadata.annotations[knative.dev/dependency]"
    assert problem in error.message


@pytest.mark.parametrize("namespace", ['""', "null", '"demo"'])
def test_a_dependency_of_no_namespace_is_in_that_of_the_trigger(namespace: str) -> None:
    written = TriggerAdmission().default(trigger(), CREATE)
    reference = f'"kind": "Broker", "apiVersion": "eventing.knative.dev/v1", "name": "b", "namespace": {namespace}'
    written["metadata"] |= {"namespace": "demo", "annotations": {"knative.dev/dependency": f"{{{reference}}}"}}
    assert TriggerAdmission().validate(written, CREATE) == []
    assert dependency_of(written) == Dependency(BROKER, Key("demo", "b"))


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    [
        ("rate", "fast", "must be a number of requests a second"),
        ("rate", "0", "must be a number of requests a second"),
        ("paused", "yes", 'must be "true" or "false"'),
        ("order-by", "Partition Key", "must be the name of an attribute"),
        ("start-from", "yesterday", "write a number with its unit"),
        ("start-from", "2026-01-01T00:00:00", "has no time zone"),
        ("prewarm", "4", 'must be "true" or "false"'),
        ("pause", "true", "unknown annotation; known are eventmesh.io/paused"),
    ],
)
def test_annotations_of_a_trigger_are_read_when_it_is_written(annotation: str, value: str, problem: str) -> None:
    written = trigger(broker="default")
    written["metadata"]["annotations"] = {f"eventmesh.io/{annotation}": value}
    (error,) = TriggerAdmission().validate(written, CREATE)
    assert error.path == f"metadata.annotations[eventmesh.io/{annotation}]"
    assert problem in error.message


@pytest.mark.parametrize("value", ["0s", "169h", "ten minutes"])
def test_the_time_for_duplicates_is_read_when_a_broker_is_written(value: str) -> None:
    written = broker()
    written["metadata"]["annotations"] = {"eventmesh.io/deduplicate": value}
    (error,) = BrokerAdmission().validate(written, CREATE)
    assert error.path == "metadata.annotations[eventmesh.io/deduplicate]"
    written["metadata"]["annotations"] = {"eventmesh.io/deduplicate": "10m"}
    assert BrokerAdmission().validate(written, CREATE) == []


@pytest.mark.parametrize("value", ["true", "-1", "101", "1.5", "", "9" * 5000])
def test_how_many_functions_may_be_woken_on_a_guess_is_read_when_a_broker_is_written(value: str) -> None:
    written = broker()
    written["metadata"]["annotations"] = {"eventmesh.io/prewarm": value}
    (error,) = BrokerAdmission().validate(written, CREATE)
    assert error.path == "metadata.annotations[eventmesh.io/prewarm]"
    assert "0 (none) to 100" in error.message
    written["metadata"]["annotations"] = {"eventmesh.io/prewarm": "8"}
    assert BrokerAdmission().validate(written, CREATE) == []
