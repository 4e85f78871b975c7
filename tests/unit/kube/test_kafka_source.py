"""What event each record becomes, and what a KafkaSource may say."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.event import MAX_ATTRIBUTES, MAX_VALUE_BYTES
from eventmesh.cloudevents.kafka import Message
from eventmesh.kube.kafka_source import (
    KEY_TYPE_LABEL,
    MAX_EXTENSIONS,
    MAX_HEADERS,
    MAX_TOPICS,
    InitialOffset,
    KafkaReading,
    Record,
    parse_kafka_source,
)

EXTENSIONS = {f"x{number}": "x" for number in range(MAX_EXTENSIONS)}
EVENT = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/s"), ("ce_type", b"t")]


def source(key_type: str = "", **spec: Any) -> dict[str, Any]:
    metadata = {"name": "s", "namespace": "shop", "uid": "u", "generation": 2}
    labels = {"labels": {KEY_TYPE_LABEL: key_type}} if key_type else {}
    told = {"bootstrapServers": ["k:9092"], "topics": ["orders"], "consumerGroup": "g"}
    return {"metadata": {**metadata, **labels}, "spec": {**told, **spec}}


def reading(key_type: str = "", **spec: Any) -> KafkaReading:
    return parse_kafka_source(source(key_type, **spec))


def record(headers: Any = (), value: bytes | None = b"x", key: bytes | None = None, at_ms: int = -1) -> Record:
    return Record("orders", 3, 5_000_000_000, at_ms, Message(headers, value, key))


def test_a_plain_record_is_told_with_where_it_is_and_when_it_was_written() -> None:
    event = reading().event(record(at_ms=1_700_000_000_123))
    assert dict(event.attributes) == {
        **{"specversion": "1.0", "type": "dev.knative.kafka.event", "time": "2023-11-14T22:13:20.123Z"},
        **{"id": "partition:3/offset:5000000000", "subject": "partition:3#5000000000"},
        "source": "/apis/v1/namespaces/shop/kafkasources/s#orders",
        **{"knativekafkapartition": 3, "knativekafkaoffset": "5000000000"},
    }
    assert event.data == b"x"
    assert reading().event(record(value=None)).data is None


def test_headers_of_a_plain_record_are_attributes_as_far_as_an_event_can_have_them() -> None:
    headers = [
        ("Content-Type", b"Application/JSON"),
        ("X-Trace-Id", b"abc"),
        ("octets", b"\xff\x00"),
        ("line", b"a\nb"),
        ("none", None),
        ("long", b"x" * (MAX_VALUE_BYTES + 1)),
        ("n" * 100, b"cut"),
    ]
    event = reading().event(record(headers))
    told = {name: value for name, value in event.attributes.items() if name.startswith("kafkaheader")}
    assert told == {
        **{"kafkaheaderxtraceid": "abc", "kafkaheaderoctets": "/wA=", "kafkaheaderline": "YQpi"},
        "kafkaheader" + "n" * 53: "cut",
    }
    assert event.text("datacontenttype") == "application/json"


def test_more_headers_than_an_event_has_attributes_stay_behind() -> None:
    event = reading().event(record([(f"h{number}", b"x") for number in range(2 * MAX_ATTRIBUTES)]))
    assert sum(name.startswith("kafkaheaderh") for name in event.attributes) == MAX_HEADERS


def test_with_all_that_a_source_may_add_the_fullest_record_is_still_an_event() -> None:
    headers = [("content-type", b"text/plain"), *((f"h{number}", b"x") for number in range(MAX_HEADERS))]
    full = record(headers, key=b"k", at_ms=0)
    event = reading(ceOverrides={"extensions": EXTENSIONS}).event(full)
    assert EXTENSIONS.keys() < event.attributes.keys()


@pytest.mark.parametrize(
    ("key_type", "key", "told"),
    [
        ("", "käse".encode(), "käse"),
        ("string", b"\xff", "/w=="),
        ("int", struct.pack(">i", -7), -7),
        ("int", b"twelve", "twelve"),
        ("float", struct.pack(">f", 0.1), "0.1"),
        ("float", struct.pack(">d", 0.1), "0.1"),
        ("float", b"no", "no"),
        ("byte-array", b"abc", "YWJj"),
    ],
)
def test_a_key_is_what_its_type_says(key_type: str, key: bytes, told: str | int) -> None:
    event = reading(key_type).event(record(key=key))
    assert (event.attributes["key"], event.attributes["partitionkey"]) == (told, told)


def test_a_record_without_a_key_has_none() -> None:
    assert not {"key", "partitionkey"} & set(reading().event(record(key=b"")).attributes)


def test_an_event_in_a_record_is_that_event_with_where_it_was_read_and_what_the_source_adds() -> None:
    event = reading(ceOverrides={"extensions": {"team": "shop", "type": "renamed"}}).event(
        record(EVENT, b"data", b"key")
    )
    assert dict(event.attributes) == {
        **{"specversion": "1.0", "id": "1", "source": "/s", "type": "renamed", "team": "shop"},
        **{"knativekafkapartition": 3, "knativekafkaoffset": "5000000000"},
    }


@pytest.mark.parametrize(
    "headers",
    [
        [*EVENT, ("ce_id", b"twice")],
        EVENT[:2],
        [("content-type", b"application/cloudevents+json")],
        [("content-type", b"application/cloudevents+avro")],
        [*EVENT, *((f"ce_x{number}", b"x") for number in range(MAX_ATTRIBUTES))],
    ],
)
def test_a_record_that_claims_to_be_an_event_and_is_none_is_a_plain_one(headers: Any) -> None:
    event = reading().event(record(headers, b"not json"))
    assert (event.type, event.data) == ("dev.knative.kafka.event", b"not json")
    # In binary mode over HTTP such a content type would say that the body is an event.
    assert "datacontenttype" not in event.attributes


def test_what_a_source_leaves_out_is_what_knative_takes() -> None:
    made = reading()
    assert (made.initial_offset, made.consumers, made.net.secrets()) == (InitialOffset.LATEST, 1, [])
    assert reading(bootstrapServers=["a:1, b:2", "c:3"]).servers == ("a:1", "b:2", "c:3")


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"topics": []}, "topics"),
        ({"topics": ["t"] * (MAX_TOPICS + 1)}, "topics"),
        ({"topics": ["a", "b/c"]}, "topics[1]"),
        ({"bootstrapServers": []}, "bootstrapServers"),
        ({"bootstrapServers": ["kafka"]}, "bootstrapServers[0]"),
        ({"bootstrapServers": ["a:1", "b:99999"]}, "bootstrapServers[1]"),
        ({"bootstrapServers": ["169.254.169.254:80"]}, "bootstrapServers[0]"),
        ({"bootstrapServers": ["[fe80::1]:9092"]}, "bootstrapServers[0]"),
        ({"bootstrapServers": ["a:1"] * 33}, "bootstrapServers"),
        ({"initialOffset": "oldest"}, "initialOffset"),
        ({"ordering": "some"}, "ordering"),
        ({"consumers": -1}, "consumers"),
        ({"ceOverrides": {"extensions": {"id": ""}}}, "ceOverrides.extensions.id"),
        ({"ceOverrides": {"extensions": {"x": "x" * (MAX_VALUE_BYTES + 1)}}}, "ceOverrides.extensions.x"),
        ({"ceOverrides": {"extensions": dict(EXTENSIONS, more="x")}}, "ceOverrides.extensions"),
        ({"net": {"sasl": {"enable": True}}}, "net.sasl.user.secretKeyRef"),
        (
            {"net": {"sasl": {"enable": True, "user": {"secretKeyRef": {"name": "s"}}}}},
            "net.sasl.user.secretKeyRef.key",
        ),
        (
            {"net": {"tls": {"enable": True, "key": {"secretKeyRef": {"name": "s", "key": "k"}}}}},
            "net.tls.cert, net.tls.key",
        ),
    ],
)
def test_a_source_that_cannot_work_is_refused_by_its_field(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        reading(**spec)
    assert refusal.value.path == path


def test_a_key_type_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="use string, int, float, byte-array"):
        reading("long")
