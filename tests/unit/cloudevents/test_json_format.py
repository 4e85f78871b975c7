"""The JSON format: data is handed on as it was written, and read as Python's own reader reads it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.cloudevents import http, json_format
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.core import MAX_EVENT_DEPTH

START = '{"id":"1","source":"/s","type":"t","specversion":"1.0"'

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def read(members: str) -> Event:
    """Return an event with these members beside those that it must have."""
    return http.decode_structured(json_format.MEDIA_TYPE, f"{START},{members}}}".encode())


def data(written: str) -> bytes | None:
    return read(f'"data":{written}').data


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_data_is_the_value_that_pythons_own_reader_reads(value: Any, ascii_only: bool, indent: int | None) -> None:
    taken = data(json.dumps(value, ensure_ascii=ascii_only, indent=indent))
    assert taken is not None and json.loads(taken) == value
    if ascii_only:
        assert taken == json.dumps(value, separators=(",", ":")).encode(), "without blanks, and else as it was"


@given(st.binary(max_size=200))
def test_data_in_base64_is_that_of_pythons_own_reader(octets: bytes) -> None:
    encoded = base64.b64encode(octets).decode()
    assert (
        http.decode_structured(json_format.MEDIA_TYPE, f'{START},"data_base64":"{encoded}"}}'.encode()).data == octets
    )


@given(st.text('[]{}:,"\\u01-+.eE \nabtruefalsn', max_size=30))
def test_what_is_taken_is_json_to_pythons_own_reader(written: str) -> None:
    try:
        taken = data(written)
    except InvalidEvent:
        return
    assert json.loads(taken or b"") == json.loads(f'{START},"data":{written}}}')["data"]


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity", "01", "[1,]", '"\t"'])
def test_what_only_some_readers_take_is_refused(written: str) -> None:
    with pytest.raises(InvalidEvent, match="is not JSON: expected .* at byte"):
        data(written)


def test_numbers_keep_their_digits() -> None:
    assert data("[1.10, 12345678901234567890123, 1e400]") == b"[1.10,12345678901234567890123,1e400]"


def test_data_is_nested_as_deep_as_the_limit_and_no_deeper() -> None:
    for depth in (MAX_EVENT_DEPTH - 1, MAX_EVENT_DEPTH):
        nested = "[" * depth + "]" * depth
        if depth < MAX_EVENT_DEPTH:
            assert data(nested) == nested.encode()
            continue
        with pytest.raises(InvalidEvent, match=f"nested too deeply: more than {MAX_EVENT_DEPTH}"):
            data(nested)


@pytest.mark.parametrize("octets", [b"[" * 100_000, b'"\\ud800"', b"\xff", b"{"])
def test_any_data_of_an_event_can_be_written(octets: bytes) -> None:
    attributes = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "datacontenttype": "application/json"}
    event = Event(attributes, octets)
    assert http.decode_structured(json_format.MEDIA_TYPE, json_format.encode(event)) == event
