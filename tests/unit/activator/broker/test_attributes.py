"""What brokers add, count down, carry and strip."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from eventmesh.activator.broker import attributes
from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.retry_after import parse_retry_after
from eventmesh.cloudevents.event import AttributeValue, Event, InvalidEvent

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def event(**extra: AttributeValue) -> Event:
    return Event({"id": "1", "source": "/s", "type": "t", "specversion": "1.0", **extra})


@pytest.mark.parametrize(("before", "after"), [(None, 255), (255, 254), ("7", 6), (2, 1), ("many", 255)])
def test_each_arrival_uses_up_a_hop(before: AttributeValue | None, after: int) -> None:
    extra = {} if before is None else {attributes.TTL: before}
    arrived = attributes.on_arrival(event(**extra), NOW)
    assert arrived.attributes[attributes.TTL] == after
    assert arrived.text("knativearrivaltime") == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("hops", [1, 0, -5, "1"])
def test_an_event_without_hops_is_refused(hops: AttributeValue) -> None:
    with pytest.raises(InvalidEvent) as refusal:
        attributes.on_arrival(event(knativebrokerttl=hops), NOW)
    assert refusal.value.attribute == attributes.TTL


def test_a_subscriber_sees_no_hop_counter_and_its_reply_goes_on_with_it() -> None:
    stored = event(knativebrokerttl=9)
    assert attributes.TTL not in attributes.for_subscriber(stored).attributes
    assert attributes.as_reply(event(), stored).attributes[attributes.TTL] == 9


@pytest.mark.parametrize(
    ("failure", "code", "data"),
    [
        (Answer(400, body=b"x" * 2000), 400, b"x" * 1024),
        (Answer(0, "timeout"), 500, b"timeout"),
        (Answer(503), 503, None),
    ],
)
def test_a_dead_letter_tells_what_went_wrong(failure: Answer, code: int, data: bytes | None) -> None:
    letter = attributes.as_dead_letter(event(knativebrokerttl=9), "http://sub/", failure)
    assert (letter.text("knativeerrordest"), letter.attributes["knativeerrorcode"]) == ("http://sub/", code)
    assert letter.text("knativeerrordata") == (base64.b64encode(data).decode() if data else "")
    assert attributes.TTL not in letter.attributes


def test_only_tracing_and_knative_headers_travel() -> None:
    headers = [
        ("x-request-id", "r"),
        ("authorization", "s"),
        ("knative-x", "k"),
        ("x-b3-traceid", "b"),
        ("cookie", "c"),
    ]
    assert [name for name, _ in attributes.carried(headers)] == ["x-request-id", "knative-x", "x-b3-traceid"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        (" 5 ", 5.0),
        ("9" * 400, 999_999_999.0),
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_an_event_tells_of_the_trace_in_which_it_began() -> None:
    headers = [("traceparent", "00-1-2-01"), ("tracestate", "a=1"), ("x-request-id", "7")]
    for arrived in (attributes.on_arrival(event(), NOW, headers), attributes.count_hop(event(), headers)):
        assert (arrived.text("traceparent"), arrived.text("tracestate")) == ("00-1-2-01", "a=1")
    known = attributes.on_arrival(event(traceparent="00-0-0-00"), NOW, headers)
    assert (known.text("traceparent"), known.text("tracestate")) == ("00-0-0-00", "")
    assert attributes.on_arrival(event(), NOW).text("traceparent") == ""
