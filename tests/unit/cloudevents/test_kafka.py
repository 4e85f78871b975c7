"""The Kafka binding: both modes, both ways, what is no event, and the public conformance features."""

from __future__ import annotations

import json
import random
import re

import pytest
from cloudevents.core.bindings import kafka as oracle
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.cloudevents import kafka
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.cloudevents.http import UnsupportedFormat
from eventmesh.cloudevents.kafka import Message
from tests.conformance import DATA, needs_data
from tests.unit.cloudevents.random_events import drawn_event, expected, moment, octets, same

BINARY = [("ce_id", b"1"), ("ce_source", b"/s"), ("ce_type", b"t"), ("ce_specversion", b"1.0")]
STRUCTURED = [("content-type", b"application/cloudevents+json; charset=utf-8")]
SEED, EVENTS = 1, 250


def event(data: bytes | None = b"{}", **more: str) -> Event:
    return Event({"id": "1", "source": "/s", "type": "t", "specversion": "1.0", **more}, data)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"], exclude_characters="\ufffe\uffff"), min_size=1))
def test_any_text_survives_binary_mode_as_it_stands(text: str) -> None:
    message = kafka.encode_binary(event(subject=text))
    assert dict(message.headers)["ce_subject"] == text.encode()
    assert kafka.decode(message).text("subject") == text


def test_a_percent_sign_is_no_escape() -> None:
    assert kafka.decode(Message([*BINARY, ("ce_subject", b"100%20")], b"")).text("subject") == "100%20"


@pytest.mark.parametrize("data", [None, b"", b"{}"])
def test_no_data_is_no_value_and_empty_data_an_empty_one(data: bytes | None) -> None:
    message = kafka.encode_binary(event(data))
    assert message.value == data
    assert kafka.decode(message).data == data


@pytest.mark.parametrize("encode", [kafka.encode_binary, kafka.encode_structured])
def test_the_partition_key_is_the_key_and_stays_in_the_event(encode: object) -> None:
    assert callable(encode)
    message = encode(event(partitionkey="käse"))
    assert message.key == "käse".encode()
    assert kafka.decode(message).text("partitionkey") == "käse"
    assert encode(event()).key is None


def test_a_content_type_is_a_header_without_a_prefix() -> None:
    message = kafka.encode_binary(event(datacontenttype="application/json"))
    assert dict(message.headers)["content-type"] == b"application/json"
    assert "ce_datacontenttype" not in dict(message.headers)
    told = kafka.decode(Message([*BINARY, ("Content-Type", b"text/plain")], b"x"))
    assert told.text("datacontenttype") == "text/plain"


def test_headers_of_others_are_no_attributes() -> None:
    assert "trace" not in kafka.decode(Message([*BINARY, ("trace", b"\xff")], b"")).attributes


@pytest.mark.parametrize(
    ("message", "attribute", "problem"),
    [
        (Message([], b"{}"), "specversion", "no ce_specversion header, and content-type names no event format"),
        (Message([*BINARY, ("ce_id", b"2")], b""), "id", "header ce_id is given twice"),
        (Message([*BINARY, ("ce_x", None)], b""), "x", "header ce_x has no value"),
        (Message([*BINARY, ("ce_x", b"a\xff")], b""), "x", r"is not UTF-8 \(byte 1 of header ce_x\)"),
        (Message([*BINARY, ("ce_Upper", b"a")], b""), "Upper", "lower-case ASCII letters and digits"),
        (Message([*BINARY, ("ce_datacontenttype", b"a/b")], b""), "datacontenttype", "is carried by content-type"),
        (Message([*BINARY, ("content-type", b"a")], b""), "datacontenttype", "is not a media type"),
        (Message([*BINARY, ("content-type", b"a/b"), ("Content-Type", b"a/b")], b""), "", "is given 2 times"),
        (Message(BINARY[1:], b""), "id", "is required and must not be empty"),
        (Message([*BINARY[:3], ("ce_specversion", b"0.3")], b""), "specversion", 'only "1.0" is supported'),
        (Message(STRUCTURED, None), "", "structured CloudEvent has no value"),
        (Message(STRUCTURED, b"["), "", "structured CloudEvent is not JSON"),
    ],
)
def test_what_is_no_valid_event_is_refused_with_what_is_wrong(message: Message, attribute: str, problem: str) -> None:
    with pytest.raises(InvalidEvent, match=problem) as refusal:
        kafka.decode(message)
    assert refusal.value.attribute == attribute


@pytest.mark.parametrize("media_type", [b"application/cloudevents+avro", b"application/cloudevents-batch+json"])
def test_formats_that_nobody_reads_are_told(media_type: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match=r"use application/cloudevents\+json or"):
        kafka.decode(Message([("content-type", media_type)], b"[]"))


def test_a_record_claims_to_be_an_event_in_either_mode_or_not_at_all() -> None:
    assert kafka.is_event(BINARY)
    assert kafka.is_event(STRUCTURED)
    assert kafka.is_event([("Content-Type", b"Application/CloudEvents+JSON")])
    assert not kafka.is_event([("content-type", b"application/json"), ("ce-specversion", b"1.0"), ("x", None)])


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_random_events_mean_the_same_to_the_package(mode: str) -> None:
    drawn = random.Random(SEED)
    encode = kafka.encode_binary if mode == "binary" else kafka.encode_structured
    write = oracle.to_binary if mode == "binary" else oracle.to_structured
    for number in range(EVENTS):
        made, data = drawn_event(drawn)
        ours = encode(Event(dict(made), octets(data, made.get("datacontenttype", ""))))
        told = {name: value or b"" for name, value in ours.headers}
        theirs = oracle.from_kafka(oracle.KafkaMessage(told, ours.key, ours.value or b""), JSONFormat(), CloudEvent)
        shown = {name: said for name, said in theirs.get_attributes().items() if said is not None}
        if "time" in shown:
            shown["time"] = moment(shown["time"])
        assert shown == expected(made), f"event {number} of seed {SEED}, read by the package"
        package = CloudEvent({**made, **({"time": moment(made["time"])} if "time" in made else {})}, data)
        message = write(package, JSONFormat())
        read = kafka.decode(Message(list(message.headers.items()), message.value))
        assert expected({name: str(said) for name, said in read.attributes.items()}) == expected(made), number
        assert same(read.data, data, made.get("datacontenttype", "")), f"data of event {number}"


def _table(text: str) -> dict[str, str]:
    rows = re.findall(r"\|\s*(\S+)\s*\|\s*(.*?)\s*\|", text)
    return {name: value for name, value in rows if name != "key"}


def _scenarios() -> list[tuple[Message, dict[str, str], object]]:
    """Read the conformance feature: each record, with the attributes and JSON data it must give."""
    text = (DATA / "cloudevents-conformance" / "features" / "kafka-protocol-binding.feature").read_text()
    found = []
    for scenario in re.split(r"Scenario(?: Outline)?:", text)[1:]:
        given_part, _, then_part = scenario.partition("Then the attributes are:")
        _, payload, headers = given_part.split('"""')
        attributes, data, examples = then_part.split('"""')
        rows = [_table(headers)]
        if "Examples:" in examples:
            kinds = re.findall(r"\|\s*(application/\S.*?)\s*\|", examples)
            rows = [{**rows[0], "content-type": kind} for kind in kinds]
        for row in rows:
            message = Message([(name, value.encode()) for name, value in row.items()], payload.encode())
            found.append((message, _table(attributes), json.loads(data)))
    return found


@needs_data
def test_the_public_conformance_scenarios_hold() -> None:
    scenarios = _scenarios()
    assert len(scenarios) == 3
    for message, attributes, data in scenarios:
        assert kafka.is_event(message.headers)
        read = kafka.decode(message)
        assert {name: read.text(name) for name in read.attributes} == attributes
        assert json.loads(read.data or b"") == data
