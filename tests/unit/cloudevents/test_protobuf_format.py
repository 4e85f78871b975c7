"""The protobuf format against Google's own library, with messages declared as cloudevents.proto declares them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event, InvalidEvent
from tests.unit.cloudevents.protobuf_oracle import CLASSES, made

EVENT = [("content-type", "application/cloudevents+protobuf")]
BATCH = [("content-type", "application/cloudevents-batch+protobuf")]


def decoded(event: Any) -> Event:
    return http.decode(EVENT, event.SerializeToString())


texts = st.text(st.characters(min_codepoint=0xA0, max_codepoint=0xD7FF), max_size=20)
values = st.one_of(
    st.booleans().map(lambda value: {"ce_boolean": value}),
    st.integers(-(2**31), 2**31 - 1).map(lambda value: {"ce_integer": value}),
    texts.map(lambda value: {"ce_string": value}),
    st.binary(max_size=20).map(lambda value: {"ce_bytes": value}),
)
names = st.from_regex(r"x[a-z0-9]{1,10}", fullmatch=True)


@given(st.dictionaries(names, values, max_size=4), st.none() | st.binary(max_size=50))
def test_what_googles_library_writes_is_read_as_it_was_meant(extensions: dict[str, Any], data: bytes | None) -> None:
    event = made(**extensions)
    if data is not None:
        event.binary_data = data
    read = decoded(event)
    for name, value in extensions.items():
        ((kind, wanted),) = value.items()
        assert read.attributes[name] == (base64.b64encode(wanted).decode() if kind == "ce_bytes" else wanted)
    assert read.data == data
    assert (read.id, read.source, read.type) == ("1", "/s", "t")


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_is_that_time(moment: datetime) -> None:
    read = decoded(made(time={"ce_timestamp": moment}))
    assert datetime.fromisoformat(read.text("time").replace("Z", "+00:00")) == moment


def test_each_kind_of_data_is_what_it_says() -> None:
    text = made(text_data="Grüße", datacontenttype={"ce_string": "text/plain"})
    assert decoded(text).data == "Grüße".encode()
    packed = {"type_url": "type.googleapis.com/shop.Order", "value": b"\x08\x07"}
    event = CLASSES["CloudEvent"](id="1", source="/s", spec_version="1.0", type="t", proto_data=packed)
    read = decoded(event)
    assert (read.data, read.text("datacontenttype")) == (b"\x08\x07", "application/protobuf")
    assert read.text("dataschema") == "https://type.googleapis.com/shop.Order"


def test_a_batch_holds_its_events_in_order_up_to_the_limit() -> None:
    batch = CLASSES["CloudEventBatch"](events=[made(id=str(number)) for number in range(3)]).SerializeToString()
    assert [event.id for event in http.decode_batch(BATCH, batch, 3)] == ["0", "1", "2"]
    assert http.decode_batch(BATCH, b"", 3) == []
    with pytest.raises(InvalidEvent, match="3 events, more than 2"):
        http.decode_batch(BATCH, batch, 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: body[:-1], "not protobuf"),
        (lambda body: b"\x0b" + body, "wire type 3"),
        (lambda body: b"\x08\x01" + body, '"id"'),
        (lambda body: body + b"\x0a\x01\xff", '"id"'),
        (lambda body: body + b"\x2a\x05\x0a\x01x\x12\x00", '"x": has no value'),
        (lambda body: body + b"\x2a\x09\x0a\x01x\x12\x04\x3a\x02\x10\x80", "not protobuf"),
        (lambda body: b"", '"id"'),
    ],
)
def test_bytes_that_are_no_event_are_refused_by_name(change: Callable[[bytes], bytes], said: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        http.decode(EVENT, change(made(subject={"ce_string": "a"}).SerializeToString()))
    assert said in str(refused.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_an_error_and_nothing_else(body: bytes) -> None:
    for headers in (EVENT, BATCH):
        try:
            events = [http.decode(EVENT, body)] if headers is EVENT else http.decode_batch(BATCH, body, 10)
        except InvalidEvent:
            continue
        assert all(Event(event.attributes, event.data) == event for event in events)
