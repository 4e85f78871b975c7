"""Where the `cloudevents` package departs from the specification, and we do not.

Each departure is a test, which fails when the package departs no more: then random events (`test_sdk_agreement`) need
not keep clear of it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http, to_binary
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event, InvalidEvent

BINARY = {"ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-specversion": "1.0", "ce-time": "2020-01-01T00:00:00Z"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
WHOLE = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "time": "2020-01-01T00:00:00Z"}


def with_member(member: str) -> bytes:
    return f"{json.dumps(WHOLE)[:-1]},{member}}}".encode()


def theirs(headers: dict[str, str], body: bytes = b"") -> BaseCloudEvent:
    return from_http(HTTPMessage(headers, body), JSONFormat(), CloudEvent)


def ours(headers: dict[str, str], body: bytes = b"") -> Event:
    return http.decode(list(headers.items()), body)


@pytest.mark.parametrize("missing", ["id", "specversion"])
def test_the_package_makes_up_a_required_attribute_that_is_missing(missing: str) -> None:
    headers = {name: said for name, said in BINARY.items() if name != f"ce-{missing}"}
    assert theirs(headers).get_attributes()[missing]
    with pytest.raises(InvalidEvent, match=missing):
        ours(headers)


def test_the_package_says_that_an_event_without_a_time_has_happened_now() -> None:
    headers = {name: said for name, said in BINARY.items() if name != "ce-time"}
    assert theirs(headers).get_time() is not None
    assert "time" not in ours(headers).attributes


def test_the_package_takes_a_null_attribute_for_an_error_and_not_for_none() -> None:
    body = with_member('"subject":null')
    with pytest.raises(CloudEventValidationError, match="subject"):
        theirs(STRUCTURED, body)
    assert "subject" not in ours(STRUCTURED, body).attributes


def test_the_package_reads_binary_mode_where_one_header_of_an_event_stands_beside_a_structured_one() -> None:
    headers, body = {**STRUCTURED, "ce-id": "2"}, json.dumps(WHOLE).encode()
    with pytest.raises(CloudEventValidationError, match="source"):
        theirs(headers, body)
    assert ours(headers, body).id == "1"


def test_the_package_fails_at_a_batch_without_saying_what_it_is() -> None:
    headers = {"content-type": "application/cloudevents-batch+json"}
    with pytest.raises(AttributeError):
        theirs(headers, b"[]")
    with pytest.raises(InvalidEvent, match="batch"):
        ours(headers, b"[]")


def test_the_package_reads_any_event_format_as_json() -> None:
    headers, body = {"content-type": "application/cloudevents+xml"}, json.dumps(WHOLE).encode()
    assert theirs(headers, body).get_id() == "1"
    with pytest.raises(http.UnsupportedFormat, match="xml"):
        ours(headers, body)


@pytest.mark.parametrize(("value", "read"), [("%C0%A0", "\ufffd\ufffd"), ("100%", "100%")])
def test_the_package_reads_something_out_of_a_wrong_percent_encoding(value: str, read: str) -> None:
    headers = {**BINARY, "ce-subject": value}
    assert theirs(headers).get_subject() == read
    with pytest.raises(InvalidEvent, match="subject"):
        ours(headers)


def test_the_package_keeps_the_quotes_of_a_quoted_header_value() -> None:
    headers = {**BINARY, "ce-subject": '"a b"'}
    assert theirs(headers).get_subject() == '"a b"'
    assert ours(headers).text("subject") == "a b"


def test_the_package_loses_null_data_and_does_not_tell_that_data_is_json() -> None:
    null, some = with_member('"data":null'), with_member('"data":{"a":1}')
    assert theirs(STRUCTURED, null).get_data() is None
    assert theirs(STRUCTURED, some).get_datacontenttype() is None
    assert ours(STRUCTURED, null).data == b"null"
    assert ours(STRUCTURED, some).text("datacontenttype") == "application/json"


def test_the_package_raises_no_error_of_its_own_for_a_bad_time() -> None:
    headers = {**BINARY, "ce-time": "yesterday"}
    with pytest.raises(ValueError, match="yest") as raised:
        theirs(headers)
    assert type(raised.value) is ValueError
    with pytest.raises(InvalidEvent, match="time"):
        ours(headers)


@pytest.mark.parametrize(
    ("member", "named"),
    [
        ('"x":1.5', '"x"'),
        ('"subject":"a\\u0001"', "subject"),
        ('"dataschema":"a b"', "dataschema"),
        ('"id":"2"', "twice"),
    ],
)
def test_the_package_takes_attributes_that_no_event_may_have(member: str, named: str) -> None:
    assert theirs(STRUCTURED, with_member(member))
    with pytest.raises(InvalidEvent, match=named):
        ours(STRUCTURED, with_member(member))


@pytest.mark.parametrize(("value", "written"), [(True, "true"), (False, "false")])
def test_the_package_writes_booleans_as_python_shows_them(value: Any, written: str) -> None:
    event = CloudEvent({"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "x": value}, b"")
    assert to_binary(event, JSONFormat()).headers["ce-x"] == str(value)
    headers, _ = http.encode_binary(Event({**WHOLE, "x": value}))
    assert dict(headers)["ce-x"] == written


def test_the_package_changes_the_callers_attributes_and_hands_out_its_own() -> None:
    given: dict[str, Any] = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0"}
    event = CloudEvent(given, b"")
    assert "time" in given and event.get_attributes() is given
    kept = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0"}
    made = Event(kept)
    kept["id"] = "2"
    assert made.id == "1"
