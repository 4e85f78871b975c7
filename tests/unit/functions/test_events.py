"""What a function sees of an event, and what becomes of what it returns."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cloudevents.core.v1.event import CloudEvent

from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.functions.events import for_function, from_function, reply_to

ATTRIBUTES = {"id": "7", "source": "/shop", "type": "order.created", "specversion": "1.0"}


def test_data_is_read_by_its_content_type() -> None:
    seen = for_function(Event({**ATTRIBUTES, "datacontenttype": "application/json"}, b'{"order": 7}'))
    assert seen.get_data() == {"order": 7}
    assert for_function(Event({**ATTRIBUTES, "datacontenttype": "text/plain"}, "Grüße".encode())).get_data() == "Grüße"
    assert for_function(Event(ATTRIBUTES, b"\x00\xff")).get_data() == b"\x00\xff"
    assert for_function(Event(ATTRIBUTES)).get_data() is None


def test_nothing_is_invented_that_the_sender_did_not_say() -> None:
    assert for_function(Event(ATTRIBUTES)).get_attributes() == ATTRIBUTES
    said = for_function(Event({**ATTRIBUTES, "time": "2026-01-02T03:04:05Z"}))
    assert said.get_time() == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_data_that_is_not_what_it_says_is_named() -> None:
    with pytest.raises(InvalidEvent, match="datacontenttype.*application/json"):
        for_function(Event({**ATTRIBUTES, "datacontenttype": "application/json"}, b"{"))


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/json", b'{"a":[1,"\xc3\xa9"]}'),
        ("text/plain", b"a"),
        ("application/octet-stream", b"\x00"),
        ("", None),
    ],
)
def test_an_event_returned_as_it_came_is_the_same_event(content_type: str, data: bytes | None) -> None:
    attributes: dict[str, str | int | bool] = {
        **ATTRIBUTES,
        "retries": 3,
        "urgent": True,
        "time": "2026-01-02T03:04:05Z",
    }
    event = Event(attributes | ({"datacontenttype": content_type} if content_type else {}), data)
    back = from_function(for_function(event))
    assert back is not None
    assert dict(back.attributes) == dict(event.attributes)
    assert for_function(back).get_data() == for_function(event).get_data()


def test_a_reply_has_the_same_identity_each_time_its_cause_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_SERVICE", "orders")
    cause = for_function(Event(ATTRIBUTES))
    replies = [reply_to(cause, "order.confirmed", {"total": 1}, subject="7") for _ in range(2)]
    assert {(reply.get_id(), reply.get_source()) for reply in replies} == {("7-order.confirmed", "/functions/orders")}
    assert replies[0].get_subject() == "7"
    assert reply_to(cause, "a", id="mine", subject=None).get_attributes().keys() == {
        "id",
        "source",
        "type",
        "specversion",
        "time",
    }


def test_who_asked_by_a_request_reply_is_answered() -> None:
    cause = for_function(Event({**ATTRIBUTES, "correlationid": "mark"}))
    assert reply_to(cause, "a").get_extension("replyid") == "mark"
    assert reply_to(cause, "a", replyid=None).get_extension("replyid") is None


def test_what_is_no_event_is_refused_in_words_that_help() -> None:
    event = CloudEvent(dict(ATTRIBUTES))
    with pytest.raises(TypeError, match="2 things in a list: a reply is one event"):
        from_function([event, event])
    with pytest.raises(TypeError, match="returned a dict"):
        from_function({"total": 1})
    assert from_function(None) is None


def test_an_event_that_no_broker_would_take_is_refused_before_it_is_sent() -> None:
    reply = CloudEvent({**ATTRIBUTES, "source": "not a uri"})
    with pytest.raises(InvalidEvent, match="source"):
        from_function(reply)
