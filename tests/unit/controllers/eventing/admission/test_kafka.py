"""Defaults and rules of KafkaSources and KafkaSinks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from eventmesh.controllers.eventing.admission.kafka import GROUP_PREFIX, KafkaSinkAdmission, KafkaSourceAdmission
from eventmesh.kube.admission import AdmissionRequest
from eventmesh.kube.kafka_sink import MAX_PARTITIONS, MAX_REPLICAS
from eventmesh.kube.kafka_source import KEY_TYPE_LABEL

CREATE = AdmissionRequest("ada")
SINK = {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}}


def source(**spec: Any) -> dict[str, Any]:
    written = {"sink": SINK, "bootstrapServers": ["k:9092"], "topics": ["orders"], **spec}
    return {"metadata": {"name": "s", "namespace": "shop"}, "spec": written}


def test_a_source_reads_in_a_group_of_its_own_what_comes_from_now_on_and_in_order() -> None:
    admission = KafkaSourceAdmission()
    made = admission.default(source(delivery={"deadLetterSink": SINK}), CREATE)["spec"]
    assert made["consumerGroup"].startswith(GROUP_PREFIX)
    assert made["consumerGroup"] != admission.default(source(), CREATE)["spec"]["consumerGroup"]
    assert (made["consumers"], made["initialOffset"], made["ordering"]) == (1, "latest", "ordered")
    assert made["sink"]["ref"]["namespace"] == made["delivery"]["deadLetterSink"]["ref"]["namespace"] == "shop"
    assert admission.default(source(consumers=0), CREATE)["spec"]["consumers"] == 0
    assert admission.validate(admission.default(source(), CREATE), CREATE) == []


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        ({"sink": {}}, "spec.sink.ref, spec.sink.uri", "expected at least one, got none"),
        ({"topics": []}, "spec.topics", "missing field(s)"),
        ({"bootstrapServers": []}, "spec.bootstrapServers", "missing field(s)"),
        ({"bootstrapServers": ["k:123456"]}, "spec.bootstrapServers[0]", "invalid value: k:123456: is no HOST:PORT"),
        ({"initialOffset": "oldest"}, "spec.initialOffset", "invalid value: oldest"),
        ({"ordering": "some"}, "spec.ordering", "invalid value: some"),
        ({"delivery": {"retry": -1}}, "spec.delivery.retry", "must be an integer of at least 0, not -1"),
        (
            {"net": {"tls": {"enable": True, "cert": {"secretKeyRef": {"name": "s", "key": "k"}}}}},
            "spec.net.tls.cert, spec.net.tls.key",
            "expected both or neither, got one",
        ),
    ],
)
def test_a_source_that_cannot_work_is_refused_by_its_field(spec: dict[str, Any], path: str, message: str) -> None:
    found = [(error.path, error.message) for error in KafkaSourceAdmission().validate(source(**spec), CREATE)]
    assert found == [(path, message)]


def test_a_port_is_not_counted_digit_by_digit() -> None:
    (error,) = KafkaSourceAdmission().validate(source(bootstrapServers=["k:" + "9" * 5_000]), CREATE)
    assert error.path == "spec.bootstrapServers[0]"


def test_a_key_type_that_nobody_knows_is_refused_by_its_label() -> None:
    written = source()
    written["metadata"]["labels"] = {KEY_TYPE_LABEL: "long"}
    (error,) = KafkaSourceAdmission().validate(written, CREATE)
    assert error.path == f"metadata.labels[{KEY_TYPE_LABEL}]"


def test_the_group_of_a_source_stays() -> None:
    update = replace(CREATE, old=source(consumerGroup="a"))
    (error,) = KafkaSourceAdmission().validate(source(consumerGroup="b"), update)
    assert (error.path, error.message) == ("spec.consumerGroup", "Immutable fields changed (-old +new)")


def sink(**spec: Any) -> dict[str, Any]:
    written = {"bootstrapServers": ["k:9092"], "topic": "orders", **spec}
    return {"metadata": {"name": "s", "namespace": "shop"}, "spec": written}


def test_a_sink_writes_in_binary_mode_unless_it_says_otherwise() -> None:
    admission = KafkaSinkAdmission()
    assert admission.default(sink(), CREATE)["spec"]["contentMode"] == "binary"
    structured = admission.default(sink(contentMode="structured", numPartitions=3, replicationFactor=2), CREATE)
    assert structured["spec"]["contentMode"] == "structured"
    assert admission.validate(structured, CREATE) == []


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        ({"topic": ""}, "spec.topic", "invalid value: "),
        ({"topic": "a b"}, "spec.topic", "invalid value: a b"),
        ({"bootstrapServers": []}, "spec.bootstrapServers", "missing field(s)"),
        ({"contentMode": "batched"}, "spec.contentMode", "invalid value: batched"),
        ({"numPartitions": 0}, "spec.numPartitions", "invalid value: 0"),
        ({"replicationFactor": -1}, "spec.replicationFactor", "invalid value: -1"),
        ({"numPartitions": MAX_PARTITIONS + 1}, "spec.numPartitions", "invalid value: 2147483648"),
        ({"replicationFactor": MAX_REPLICAS + 1}, "spec.replicationFactor", "invalid value: 32768"),
        ({"auth": {"secret": {"ref": {"name": ""}}}}, "spec.auth.secret.ref.name", "invalid value: "),
    ],
)
def test_a_sink_that_cannot_work_is_refused_by_its_field(spec: dict[str, Any], path: str, message: str) -> None:
    found = [(error.path, error.message) for error in KafkaSinkAdmission().validate(sink(**spec), CREATE)]
    assert found == [(path, message)]


def test_the_topic_of_a_sink_stays_as_it_was_made() -> None:
    update = replace(CREATE, old=sink(numPartitions=1, replicationFactor=1))
    errors = KafkaSinkAdmission().validate(sink(topic="other", numPartitions=2), update)
    assert [(error.path, error.message) for error in errors] == [
        ("spec.topic", "Immutable field updated"),
        ("spec.replicationFactor", "Immutable field updated"),
        ("spec.numPartitions", "Immutable field updated"),
    ]
