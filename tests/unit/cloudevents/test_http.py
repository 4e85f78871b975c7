"""The HTTP binding: both modes, both ways, the encoding vectors of the binding, and the public conformance features."""

from __future__ import annotations

import json
import re

import pytest
from cloudevents.core.bindings import http as oracle_http
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.cloudevents.http import UnsupportedFormat
from tests.conformance import DATA, needs_data

BINARY = [("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t"), ("ce-specversion", "1.0")]
STRUCTURED = [("content-type", "application/cloudevents+json; charset=utf-8")]

attribute_text = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cn"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=40
)


def received(header: str) -> str:
    """Return the value of the attribute `ext` that comes as this header."""
    return http.decode([*BINARY, ("ce-ext", header)], b"").text("ext")


@pytest.mark.parametrize(
    ("text", "header"),
    [("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"), ("100%", "100%25"), ('"', "%22"), ("plain-~!", "plain-~!")],
)
def test_header_values_are_encoded_as_the_binding_says(text: str, header: str) -> None:
    event = Event({"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "ext": text})
    assert dict(http.encode_binary(event)[0])["ce-ext"] == header
    assert received(header) == text


def test_binary_mode_writes_every_type_of_attribute_and_leaves_out_what_it_is_told_to() -> None:
    known = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "datacontenttype": "text/plain; a=b"}
    event = Event({**known, "number": -5, "yes": True, "no": False, "empty": "", "hops": 3}, b"x")
    headers, body = http.encode_binary(event, without="hops")
    assert body == b"x" and headers == [
        *(("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t"), ("ce-specversion", "1.0")),
        *(("ce-number", "-5"), ("ce-yes", "true"), ("ce-no", "false"), ("ce-empty", "")),
        ("content-type", "text/plain; a=b"),
    ]
    assert ("ce-hops", "3") in http.encode_binary(event)[0]


@pytest.mark.parametrize(
    ("header", "text"),
    [('"a b\\"c"', 'a b"c'), ("%e2%82%ac", "€"), ("%41", "A"), ("€".encode().decode("latin-1"), "€"), ("%2541", "%41")],
)
def test_header_values_are_decoded_once_and_tolerantly(header: str, text: str) -> None:
    assert received(header) == text


@pytest.mark.parametrize("header", ["%C0%A0", "%E2", "%zz", "100%", "\xff"])
def test_header_values_that_are_not_text_are_refused(header: str) -> None:
    with pytest.raises(InvalidEvent) as refusal:
        received(header)
    assert refusal.value.attribute == "ext"


@given(attribute_text)
def test_any_text_survives_binary_mode(text: str) -> None:
    event = Event({"id": text, "source": "/s", "type": "t", "specversion": "1.0"}, b"x")
    headers, body = http.encode_binary(event)
    assert http.decode(headers, body).id == text


@given(attribute_text, st.binary(max_size=100))
def test_any_event_survives_structured_mode(text: str, data: bytes) -> None:
    event = Event({"id": text, "source": "/s", "type": "t", "specversion": "1.0", "n": 5, "b": False}, data)
    headers, body = http.encode_structured(event)
    again = http.decode(headers, body)
    assert (again.id, again.attributes["n"], again.attributes["b"], again.data) == (text, 5, False, data)


def test_the_cloudevents_package_reads_what_we_write() -> None:
    event = Event(
        {"id": "Euro €", "source": "/s", "type": "t", "specversion": "1.0", "datacontenttype": "application/json"},
        b'{"a":1}',
    )
    for headers, body in (http.encode_binary(event), http.encode_structured(event)):
        read = oracle_http.from_http(oracle_http.HTTPMessage(dict(headers), body), JSONFormat())
        assert (read.get_id(), read.get_type(), read.get_data()) == ("Euro €", "t", {"a": 1})


@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        ([], b"{}", "specversion"),
        ([*BINARY, ("ce-id", "2")], b"", "twice"),
        ([*BINARY, ("ce-datacontenttype", "text/plain")], b"", "Content-Type"),
        ([("content-type", "application/cloudevents-batch+json")], b"[]", "batched"),
        (STRUCTURED, b"[]", "not a JSON object"),
        (STRUCTURED, b'{"id":"1","id":"2"}', 'member "id" twice'),
        (STRUCTURED, b"\xff", "not UTF-8"),
        (STRUCTURED, b"{", "not JSON"),
        (STRUCTURED, b"[" * 100_000, "nested too deeply"),
        (STRUCTURED, b'{"data":1,"data_base64":"AA=="}', 'both "data" and "data_base64"'),
        (STRUCTURED, b'{"id":1.5}', "JSON string, boolean or integer"),
        (STRUCTURED, b'{"id":"1","source":"/s","type":"t","specversion":"1.0","data_base64":"?"}', "base64"),
    ],
)
def test_a_message_that_is_no_event_is_refused_with_the_reason(
    headers: list[tuple[str, str]], body: bytes, error: str
) -> None:
    with pytest.raises(InvalidEvent, match=re.escape(error)):
        http.decode(headers, body)


def test_an_unknown_event_format_is_not_a_bad_event() -> None:
    with pytest.raises(UnsupportedFormat, match="avro"):
        http.decode([("content-type", "application/cloudevents+avro")], b"")


def test_no_data_differs_from_null_data() -> None:
    start = b'{"id":"1","source":"/s","type":"t","specversion":"1.0"'
    assert http.decode(STRUCTURED, start + b"}").data is None
    null = http.decode(STRUCTURED, start + b',"data":null}')
    assert (null.data, null.text("datacontenttype")) == (b"null", "application/json")


def _scenarios() -> list[tuple[str, bytes, dict[str, str], object]]:
    """Read the conformance feature: each request, with the attributes and JSON data it must give."""
    text = (DATA / "cloudevents-conformance" / "features" / "http-protocol-binding.feature").read_text()
    found = []
    for scenario in text.split("Scenario Outline:")[1:]:
        request, data = (_block(part) for part in scenario.split('"""')[1:4:2])
        rows = dict(
            re.findall(r"\|\s*(\w+) \|\s*(.*?)\s*\|", scenario.split("Then the attributes are:")[1].split("And")[0])
        )
        for content_type in re.findall(
            r"\| (application/\S.*?)\s*\|\s*$", scenario.split("Examples:")[1], re.MULTILINE
        ):
            attributes = {
                name: value.replace("<contentType>", content_type) for name, value in rows.items() if name != "key"
            }
            head, _, body = request.replace("<contentType>", content_type).partition("\n\n")
            found.append((head, body.encode(), attributes, json.loads(data)))
    return found


def _block(text: str) -> str:
    lines = text.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] for line in lines)


@needs_data
def test_the_public_conformance_scenarios_hold() -> None:
    scenarios = _scenarios()
    assert len(scenarios) >= 4
    for head, body, attributes, data in scenarios:
        pairs = (line.split(": ", 1) for line in head.splitlines()[1:])
        event = http.decode([(name.lower(), value) for name, value in pairs], body)
        assert {name: event.text(name) for name in event.attributes} == attributes
        assert json.loads(event.data or b"") == data
