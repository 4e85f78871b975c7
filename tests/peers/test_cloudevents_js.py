"""Events between us and the CloudEvents SDK for JavaScript, both ways: what one writes the other reads, save for what
is listed here.

1,000 random events in each run, 100,000 in `make soak`. Each departure of the SDK from the specification has a test of
its own, which fails when the SDK departs no more; random events keep clear of it.
"""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event, InvalidEvent
from tests.peers.tools import TOOLS, tool
from tests.unit.cloudevents.random_events import drawn_event, expected, octets, plain, same, text

SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
SEED = int(os.environ.get("EVENTMESH_SEED", "1"))
EVENTS = 50_000 if SOAK else 500
"""In each mode."""
LONGEST_S = 900 if SOAK else 180

pytestmark = [pytest.mark.peer, pytest.mark.timeout(2 * LONGEST_S)]

SDK = TOOLS.parent / "cloudevents-js" / "sdk.js"
BINARY = {"ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-specversion": "1.0", "ce-time": "2020-01-01T00:00:00Z"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
WHOLE = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "time": "2020-01-01T00:00:00Z"}

Json = dict[str, Any]


def told(orders: Sequence[Json]) -> list[Json]:
    """Return what the SDK answers to each order."""
    assert SDK.exists(), f"{SDK} is not there; run `make peers`"
    lines = "".join(f"{json.dumps(order)}\n" for order in orders)
    done = subprocess.run([tool("node"), SDK], input=lines, capture_output=True, text=True, timeout=LONGEST_S)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def in_base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def reading(headers: dict[str, str], body: bytes = b"") -> Json:
    return {"read": {"headers": headers, "body": in_base64(body)}}


def read_by_sdk(headers: dict[str, str], body: bytes = b"") -> Json:
    (answer,) = told([reading(headers, body)])
    return answer


def read_by_us(headers: dict[str, Any], body: bytes = b"") -> Event:
    return http.decode([(name.lower(), str(said)) for name, said in headers.items()], body)


def written(attributes: Json, data: bytes | None = None, mode: str = "binary") -> Json:
    (answer,) = told([{"write": {"mode": mode, "attributes": attributes, "data": in_base64(data)}}])
    return answer


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_random_events_mean_the_same_to_both(mode: str) -> None:
    drawn = random.Random(SEED)
    encode = http.encode_binary if mode == "binary" else http.encode_structured
    events, orders = [], []
    for _ in range(EVENTS):
        made, data = drawn_event(drawn, plain if mode == "binary" else text)
        # What has no data it says to be JSON in binary mode.
        if data is None and mode == "binary":
            made["datacontenttype"], data = "text/plain", "some"
        raw = octets(data, made.get("datacontenttype", ""))
        headers, body = encode(Event(dict(made), raw))
        events.append((made, data))
        orders.append(reading(dict(headers), body))
        orders.append({"write": {"mode": mode, "attributes": made, "data": in_base64(raw)}})
    answers = iter(told(orders))
    for number, (made, data) in enumerate(events):
        read, wrote = next(answers), next(answers)
        where, content_type = f"event {number} of seed {SEED}", made.get("datacontenttype", "")
        assert expected(read["attributes"]) == expected(made), f"{where}, read by the SDK"
        theirs = base64.b64decode(read["data"]) if read["data"] else None
        assert same(theirs, data, content_type), f"data of {where}, read by the SDK"
        ours = read_by_us(wrote["headers"], base64.b64decode(wrote["body"]))
        assert expected({name: str(said) for name, said in ours.attributes.items()}) == expected(made), where
        assert same(ours.data, data, content_type), f"data of {where}, read by us"


def test_the_sdk_leaves_percent_encoding_as_it_stands_and_writes_none() -> None:
    headers = {**BINARY, "ce-subject": "Euro%20%E2%82%AC"}
    assert read_by_sdk(headers)["attributes"]["subject"] == "Euro%20%E2%82%AC"
    assert read_by_us(headers).text("subject") == "Euro €"
    raw = written({**WHOLE, "subject": "Euro €"})["headers"]["ce-subject"]
    assert raw == "Euro €"
    # As its octets arrive in a header.
    assert read_by_us({**BINARY, "ce-subject": raw.encode().decode("latin-1")}).text("subject") == "Euro €"


def test_the_sdk_keeps_the_quotes_of_a_quoted_header_value() -> None:
    headers = {**BINARY, "ce-subject": '"a b"'}
    assert read_by_sdk(headers)["attributes"]["subject"] == '"a b"'
    assert read_by_us(headers).text("subject") == "a b"


@pytest.mark.parametrize("missing", ["ce-source", "ce-type", "ce-specversion"])
def test_the_sdk_takes_an_event_without_a_required_attribute(missing: str) -> None:
    headers = {name: said for name, said in BINARY.items() if name != missing}
    assert "error" not in read_by_sdk(headers)
    with pytest.raises(InvalidEvent, match=missing.removeprefix("ce-")):
        read_by_us(headers)


def test_the_sdk_says_that_an_event_without_a_time_or_with_a_bad_one_has_happened_now() -> None:
    for said in ({}, {"ce-time": "yesterday"}):
        headers = {**{name: value for name, value in BINARY.items() if name != "ce-time"}, **said}
        assert read_by_sdk(headers)["attributes"]["time"] > "2026"
    assert "time" not in read_by_us({name: value for name, value in BINARY.items() if name != "ce-time"}).attributes
    with pytest.raises(InvalidEvent, match="time"):
        read_by_us({**BINARY, "ce-time": "yesterday"})


def test_the_sdk_cuts_a_time_to_milliseconds() -> None:
    headers = {**BINARY, "ce-time": "2020-01-01T00:00:00.123456Z"}
    assert read_by_sdk(headers)["attributes"]["time"] == "2020-01-01T00:00:00.123Z"
    assert read_by_us(headers).text("time") == "2020-01-01T00:00:00.123456Z"


@pytest.mark.parametrize(
    ("member", "named"),
    [
        ('"Upper":"x"', "Upper"),
        ('"x":1.5', '"x"'),
        ('"x":99999999999', "32-bit"),
        ('"subject":"a\\u0001"', "subject"),
        ('"subject":""', "subject"),
        ('"dataschema":"a b"', "dataschema"),
        ('"id":"2"', "twice"),
        ('"data":1,"data_base64":"AA=="', "both"),
    ],
)
def test_the_sdk_takes_attributes_that_no_event_may_have(member: str, named: str) -> None:
    body = f"{json.dumps(WHOLE)[:-1]},{member}}}".encode()
    assert "error" not in read_by_sdk(STRUCTURED, body)
    with pytest.raises(InvalidEvent, match=named):
        read_by_us(STRUCTURED, body)


def test_the_sdk_loses_null_data() -> None:
    body = f'{json.dumps(WHOLE)[:-1]},"data":null}}'.encode()
    answer = read_by_sdk(STRUCTURED, body)
    assert (answer["data"], "datacontenttype" in answer["attributes"]) == (None, False)
    assert read_by_us(STRUCTURED, body).data == b"null"


def test_the_sdk_names_json_where_there_is_no_data_and_writes_a_json_string_without_its_quotes() -> None:
    assert written(WHOLE)["headers"]["content-type"].startswith("application/json")
    answer = written({**WHOLE, "datacontenttype": "application/json"}, b'"text"')
    assert base64.b64decode(answer["body"]) == b"text"
    headers, body = http.encode_binary(Event({**WHOLE, "datacontenttype": "application/json"}, b'"text"'))
    assert (body, http.encode_binary(Event(WHOLE))[0][-1][0]) == (b'"text"', "ce-time")
    assert ("content-type", "application/json") in headers
